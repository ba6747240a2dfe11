// The browser as a phone, on the agent's page: SIP by JsSIP over the desk's own WebSocket, sound by WebRTC.
// Its state stands in data-state of #phone: off, connecting, ready, calling, ringing, talking; data-asking says that a
// colleague is asked while the caller hears music: ringing, talking. The card beside it knows nothing of this: it follows the telephone system's own events, whichever phone rings.
"use strict";
(() => {
  const place = document.getElementById("phone");
  if (!place) return;
  const part = (name) => place.querySelector(`[data-phone=${name}]`);
  const word = (key) => document.getElementById("phone-words").content.querySelector(`[data-word=${key}]`)?.textContent ?? key;
  const voice = part("voice");
  const KEPT = "phone";
  const SWITCH_ON_AGAIN = "phone-on";
  const LEVELS_MS = 100;
  const FLOOR_DB = 60; // the meters show from -60 dB to full level
  let agent = null;    // JsSIP's user agent while the phone is on
  let session = null;  // the one call
  let consult = null;  // the call to a colleague who is asked first; the caller is on hold meanwhile
  let passing = false; // the two are being brought together
  let microphone = null;
  let aside = null;    // the microphone's copy for the colleague: holding the caller closes the caller's own
  let sound = null;    // the AudioContext of meters and ringing
  let meters = [];
  let unlock = null;   // gives this browser's one phone back to its other tabs

  // What is kept in this browser ---------------------------------------------------------------------------
  const chosen = () => { try { return JSON.parse(localStorage.getItem(KEPT)) || {}; } catch { return {}; } };
  const keep = (more) => { try { localStorage.setItem(KEPT, JSON.stringify({ ...chosen(), ...more })); } catch { /* only for this page then */ } };
  const remember = (on) => { try { sessionStorage.setItem(SWITCH_ON_AGAIN, on ? "yes" : ""); } catch { /* asked again then */ } };
  const remembered = () => { try { return sessionStorage.getItem(SWITCH_ON_AGAIN) === "yes"; } catch { return false; } };

  // What is shown ------------------------------------------------------------------------------------------
  function show(state) {
    const focused = place.contains(document.activeElement) && document.activeElement;
    place.dataset.state = state;
    const asking = place.dataset.asking && `asking_${place.dataset.asking}`;
    part("state").textContent = word(asking || (state === "talking" && session?.isOnHold().local ? "held" : state));
    for (const each of place.querySelectorAll("[data-in]")) each.hidden = !each.dataset.in.split(" ").includes(state);
    // The button that had the keyboard is gone: give it to what comes first now, not to the top of the page.
    if (focused && !seen(focused)) (place.dataset.asking ? place.querySelector("[data-act=back]") : firstButton())?.focus();
  }
  const seen = (part) => part.getClientRects().length > 0;
  const firstButton = () => [...place.querySelectorAll("[data-in] button, button[data-in]")].find(seen);
  function tell(key) {
    const fault = part("fault");
    fault.textContent = key ? word(key) : "";
    fault.hidden = !key;
  }
  function press(name, on) { part(name).setAttribute("aria-pressed", String(on)); }

  // The microphone -----------------------------------------------------------------------------------------
  const REFUSED = { NotAllowedError: "mic_refused", SecurityError: "mic_refused", NotFoundError: "mic_none",
    OverconstrainedError: "mic_none", NotReadableError: "mic_busy", AbortError: "mic_busy" };
  async function openMicrophone() {
    if (!navigator.mediaDevices) { tell("mic_insecure"); return null; }
    const wanted = chosen().microphone;
    const how = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: wanted ? { ...how, deviceId: { exact: wanted } } : how });
    } catch (fault) {
      if (fault.name === "OverconstrainedError" && wanted) { keep({ microphone: "" }); return openMicrophone(); } // it was unplugged
      tell(REFUSED[fault.name] || "mic_busy");
      return null;
    }
  }
  function closeMicrophone() {
    for (const stream of [microphone, aside]) stream?.getTracks().forEach((track) => track.stop());
    microphone = aside = null;
  }
  async function useSpeaker() {
    if (voice.setSinkId) await voice.setSinkId(chosen().speaker || "").catch(() => keep({ speaker: "" }));
    if (sound?.setSinkId) await sound.setSinkId(chosen().speaker || "").catch(() => {});
  }
  async function listDevices() {
    if (!navigator.mediaDevices) return;
    const found = await navigator.mediaDevices.enumerateDevices();
    for (const [name, kind] of [["microphone", "audioinput"], ["speaker", "audiooutput"]]) {
      const list = part(name);
      const own = found.filter((each) => each.kind === kind && each.deviceId && each.deviceId !== "default");
      list.replaceChildren(new Option(word("system_default"), ""), ...own.map((each) => new Option(each.label || each.deviceId.slice(0, 8), each.deviceId)));
      list.value = own.some((each) => each.deviceId === chosen()[name]) ? chosen()[name] : "";
    }
    part("speaker").closest("label").hidden = !voice.setSinkId;
  }
  async function deviceChosen(event) {
    keep({ [event.target.dataset.phone]: event.target.value });
    await useSpeaker();
    if (event.target.dataset.phone !== "microphone" || !session) return;
    const other = await openMicrophone();
    if (!other) return;
    const copy = consult && other.clone();
    await Promise.all([useMicrophone(session, other), useMicrophone(consult, copy)]);
    closeMicrophone();
    [microphone, aside] = [other, copy];
    watchLevels();
  }
  async function useMicrophone(call, stream) {
    const sender = call?.connection?.getSenders().find((each) => each.track?.kind === "audio");
    if (!sender) return;
    stream.getAudioTracks()[0].enabled = sender.track.enabled; // closed on hold and while muted
    await sender.replaceTrack(stream.getAudioTracks()[0]);
  }

  // Levels and ringing -------------------------------------------------------------------------------------
  function watchLevels() {
    meters.forEach((each) => each.source.disconnect());
    meters = [];
    for (const [name, stream] of [["level-own", aside || microphone], ["level-other", voice.srcObject]]) {
      if (!stream?.getAudioTracks().length) continue;
      const source = sound.createMediaStreamSource(stream);
      const heard = sound.createAnalyser();
      heard.fftSize = 1024;
      source.connect(heard);
      meters.push({ source, heard, meter: part(name), samples: new Float32Array(heard.fftSize) });
    }
  }
  setInterval(() => {
    for (const each of meters) {
      each.heard.getFloatTimeDomainData(each.samples);
      const power = each.samples.reduce((sum, sample) => sum + sample * sample, 0) / each.samples.length;
      each.meter.value = power > 0 ? Math.max(0, 1 + (10 * Math.log10(power)) / FLOOR_DB) : 0;
    }
  }, LEVELS_MS);

  let ringing = null;
  function ring(on) {
    clearInterval(ringing);
    ringing = null;
    if (!on) return;
    const once = () => {
      if (sound.state !== "running") return; // the browser wants a key or a click on the page first
      const tone = sound.createOscillator();
      const volume = sound.createGain();
      tone.frequency.value = 425;
      volume.gain.value = 0.12;
      tone.connect(volume).connect(sound.destination);
      tone.start();
      tone.stop(sound.currentTime + 1);
    };
    once();
    ringing = setInterval(once, 3000);
  }

  // On and off ---------------------------------------------------------------------------------------------
  // One phone a browser: two tabs would take the calls from each other.
  function claim() {
    if (!navigator.locks) return Promise.resolve(true);
    return new Promise((done) => navigator.locks.request("fourthring-phone", { ifAvailable: true }, (lock) => {
      done(Boolean(lock));
      return lock ? new Promise((free) => { unlock = free; }) : null;
    }));
  }
  const loaded = () => window.JsSIP || new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = place.dataset.library;
    script.addEventListener("load", () => done(window.JsSIP));
    script.addEventListener("error", failed);
    document.head.append(script);
  });

  async function switchOn() {
    if (agent || place.dataset.state !== "off") return;
    tell("");
    show("connecting");
    try {
      if (!(await claim())) { tell("other_tab"); return off(); }
      microphone = await openMicrophone(); // asks now, not when somebody waits
      if (!microphone) return off();
      closeMicrophone();
      sound = sound || new AudioContext();
      sound.resume().catch(() => {});
      await Promise.all([listDevices(), useSpeaker()]);
      const [sip, answer] = await Promise.all([loaded(), fetch("/agent/phone/registration", {
        method: "POST", headers: JSON.parse(document.body.getAttribute("hx-headers")) })]);
      if (!answer.ok) throw new Error(answer.status);
      register(sip, await answer.json());
      remember(true);
    } catch {
      tell("phone_failed");
      off();
    }
  }

  function register(sip, own) {
    const way = location.origin.replace(/^http/, "ws") + "/agent/phone/ws";
    const made = new sip.UA({
      sockets: [new sip.WebSocketInterface(way)],
      uri: `sip:${own.user}@${own.domain}`,
      authorization_user: own.user,
      password: own.password,
      user_agent: "FourthRing browser",
      session_timers: false,
      register_expires: 120,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 10,
    });
    agent = made;
    // What comes after the phone was switched off is no news.
    const idle = (state, fault) => {
      if (agent !== made) return;
      if (fault !== undefined) tell(fault);
      if (!session) show(state);
    };
    made.on("registered", () => idle("ready", ""));
    made.on("unregistered", () => idle("connecting"));
    made.on("registrationFailed", () => idle("connecting", "phone_failed"));
    made.on("disconnected", () => idle("connecting"));
    made.on("newRTCSession", (event) => taken(event.session, event.originator === "remote"));
    made.start();
  }

  function off() {
    agent?.stop(); // ends the call and takes the registration back
    agent = null;
    unlock?.();
    unlock = null;
    remember(false);
    show("off");
  }

  // A call -------------------------------------------------------------------------------------------------
  const present = () => consult || session;
  const nameOf = (call) => [call.remote_identity.display_name, call.remote_identity.uri.user]
    .filter((text, at, all) => text && all.indexOf(text) === at).join(" · ");

  function taken(call, incoming) {
    if (session && incoming) return call.terminate({ status_code: 486 }); // one call at a time (S4)
    const beside = Boolean(session);
    if (beside) consult = call;
    else session = call;
    tell("");
    part("who").textContent = nameOf(call);
    call.on("icecandidate", (found) => { if (found.candidate.type === "host") setTimeout(found.ready, 50); });
    call.on("peerconnection", () => listen(call));
    if (call.connection) listen(call);
    for (const kind of ["accepted", "confirmed", "hold", "unhold", "muted", "unmuted"]) call.on(kind, talking);
    for (const kind of ["ended", "failed"]) call.on(kind, () => (call === consult ? colleagueGone() : call === session && callerGone()));
    if (beside) return;
    show(incoming ? "ringing" : "calling");
    ring(incoming);
  }

  function listen(call) {
    call.connection.addEventListener("track", (event) => {
      call.heard = event.streams[0] || new MediaStream([event.track]);
      if (call === present()) hear(call);
    });
  }
  function hear(call) {
    voice.srcObject = call.heard || null;
    if (call.heard) voice.play().catch(() => {}); // the page has been clicked on: a call was answered
    watchLevels();
  }

  async function answer() {
    if (place.dataset.state !== "ringing" || !session || session.isEstablished()) return;
    const call = session;
    const opened = await openMicrophone(); // refused: it rings on, and another phone or the queue answers
    if (!opened) return;
    if (session !== call) { opened.getTracks().forEach((track) => track.stop()); return; } // the caller gave up meanwhile
    microphone = opened;
    sound.resume().catch(() => {});
    call.answer({ mediaStream: microphone, pcConfig: { iceServers: [] } });
    ring(false);
  }

  async function call(number) {
    if (session || !number) return;
    const opened = await openMicrophone();
    if (!opened) return;
    if (session) { opened.getTracks().forEach((track) => track.stop()); return; } // somebody rang meanwhile
    microphone = opened;
    agent.call(`sip:${number}@${agent.configuration.uri.host}`, { mediaStream: microphone, pcConfig: { iceServers: [] } });
  }

  function talking() {
    if (!session) return;
    ring(false);
    press("hold", session.isOnHold().local);
    press("mute", present().isMuted().audio);
    if (consult) place.dataset.asking = consult.isEstablished() ? "talking" : "ringing";
    else place.removeAttribute("data-asking");
    show("talking");
  }

  // The caller has hung up while a colleague was asked: that talk goes on as any other.
  function callerGone() {
    if (!consult || passing) return ended();
    session = consult;
    consult = null;
    tell("caller_gone");
    if (session.isEstablished()) return talking();
    place.removeAttribute("data-asking");
    show("calling");
  }

  // The colleague did not answer, or has hung up, or was thanked: back to the caller.
  function colleagueGone() {
    consult = null;
    if (passing) return; // the PBX ends both calls of whoever put through
    aside?.getTracks().forEach((track) => track.stop());
    aside = null;
    part("who").textContent = nameOf(session);
    hear(session);
    session.unhold();
    talking();
  }

  function ended() {
    const left = consult;
    session = consult = null;
    passing = false;
    left?.terminate();
    ring(false);
    closeMicrophone();
    meters.forEach((each) => { each.source.disconnect(); each.meter.value = 0; });
    meters = [];
    voice.srcObject = null;
    place.removeAttribute("data-asking");
    press("hold", false);
    press("mute", false);
    part("keypad").open = false;
    show(agent?.isRegistered() ? "ready" : agent ? "connecting" : "off");
  }

  // What one can do with it --------------------------------------------------------------------------------
  const number = () => part("number").value.trim().split(" ")[0].replace(/[^0-9*]/g, "");
  const keys = (digits) => present()?.sendDTMF(digits, { transportType: "RFC2833", duration: 120, interToneGap: 80 });
  function putThrough() {
    const to = number();
    if (!to) { tell("whom"); return part("number").focus(); }
    const call = session;
    // Asterisk agrees (202) once the caller has been moved; it leaves it to this side to end what is left of the call.
    call.refer(`sip:${to}@${agent.configuration.uri.host}`, { eventHandlers: {
      requestSucceeded: () => { if (!call.isEnded()) call.terminate(); },
      requestFailed: () => tell("not_put_through"),
    } });
  }
  // Attended transfer (RFC 5589): the caller on hold, a second call to the colleague; then REFER with Replaces, or back.
  function ask() {
    const to = number();
    if (!to) { tell("whom"); return part("number").focus(); }
    const call = session;
    const consulting = () => {
      if (session !== call || consult) return; // the caller gave up meanwhile
      aside = microphone.clone();
      aside.getAudioTracks()[0].enabled = true;
      const asked = agent.call(`sip:${to}@${agent.configuration.uri.host}`, { mediaStream: aside, pcConfig: { iceServers: [] },
        eventHandlers: { failed: (event) => { if (event.originator !== "local") tell("colleague_gone"); } } });
      hear(asked);
      talking();
    };
    if (call.isOnHold().local) return consulting();
    call.hold({}, consulting);
  }
  function complete() {
    const [caller, asked] = [session, consult];
    if (passing || !asked?.isEstablished()) return;
    passing = true;
    caller.refer(asked.remote_identity.uri, { replaces: asked, eventHandlers: {
      requestSucceeded: () => { for (const each of [asked, caller]) if (!each.isEnded()) each.terminate(); },
      requestFailed: () => {
        passing = false;
        tell("not_put_through");
        if (session && !consult) colleagueGone();
      },
    } });
  }
  const mute = () => (present().isMuted().audio ? present().unmute({ audio: true }) : present().mute({ audio: true }));
  const acts = {
    on: switchOn,
    off,
    answer,
    hangup: () => present()?.terminate(), // while a colleague is asked: back to the caller, who is not hung up on
    hold: () => (session.isOnHold().local ? session.unhold() : session.hold()),
    mute,
    call: () => call(number()),
    through: putThrough,
    ask,
    complete,
    back: () => consult?.terminate(),
  };
  place.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.act) { tell(""); acts[button.dataset.act](); }
    if (button?.dataset.digit) keys(button.dataset.digit);
  });
  part("dial").addEventListener("submit", (event) => {
    event.preventDefault();
    if (consult) return complete();
    acts[place.dataset.state === "talking" ? "through" : "call"]();
  });
  for (const name of ["microphone", "speaker"]) part(name).addEventListener("change", deviceChosen);
  navigator.mediaDevices?.addEventListener("devicechange", listDevices);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "F7" || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const state = place.dataset.state;
    if (state === "ringing") answer();
    if (state !== "talking") return;
    if (event.shiftKey) mute();
    else if (!consult) acts.hold(); // who is asked first is spoken with; the caller is on hold already
  });
  // A browser lets nothing sound before the page was touched.
  document.addEventListener("pointerdown", () => sound?.resume().catch(() => {}));
  // Leaving the page ends the call: ask first, and let links of this page open beside it.
  addEventListener("beforeunload", (event) => { if (session) event.preventDefault(); });
  addEventListener("pagehide", () => agent?.stop());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='/']");
    if (link && session) link.target = "_blank";
    else if (link?.target) link.removeAttribute("target");
  }, true);

  show("off");
  if (remembered()) switchOn();
})();
