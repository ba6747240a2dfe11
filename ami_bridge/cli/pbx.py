"""``fourthring pbx``: the private PBX, built, started, asked and stopped."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ami_bridge.cli.options import AsJson, Config
from ami_bridge.pbx.asterisk import find_asterisk
from ami_bridge.pbx.private_pbx import PbxStatus, PrivatePbx
from ami_bridge.pbx.tree import build as build_tree
from ami_bridge.render import render_asterisk
from ami_bridge.settings import Settings, load_settings

app = typer.Typer(help="The private PBX: an Asterisk of our own.", no_args_is_help=True)


def _say(line: str) -> None:
    typer.echo(line, err=True)


@app.command()
def build(
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", help="Debian mirror (default: the one in this machine's apt sources)."),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Build even though this machine has an Asterisk of its own that fits."),
    ] = False,
) -> None:
    """Get an Asterisk: the machine's own (20 or later, with sounds), else one built from Debian."""
    found = None if anyway else find_asterisk()
    asterisk = found or build_tree(_say, mirror=mirror)
    _say(f"Asterisk {asterisk.version}: {asterisk.command[-1]}")


@app.command()
def start(config: Config = None, as_json: AsJson = False) -> None:
    """Render configuration and prompts and start the private PBX; a PBX that runs already is left alone."""
    settings = load_settings(config)
    pbx = PrivatePbx.of(settings)
    render_asterisk(settings, pbx.paths)
    _prepare_voice(settings)
    status = pbx.start()
    for complaint in pbx.complaints():
        _say(complaint)
    _show(status, as_json)


@app.command()
def stop(
    config: Config = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds given to calls that are up.")] = 0,
) -> None:
    """Stop the private PBX. Calls that are up are cut when --wait is over."""
    stopped = PrivatePbx.of(load_settings(config)).stop(wait_for_calls_seconds=wait)
    _say("stopped" if stopped else "was not running")


@app.command()
def status(config: Config = None, as_json: AsJson = False) -> None:
    """Say whether the private PBX runs; exit code 3 when it does not."""
    pbx_status = PrivatePbx.of(load_settings(config)).status()
    _show(pbx_status, as_json)
    if not pbx_status.running:
        raise typer.Exit(3)


@app.command()
def reload(config: Config = None) -> None:
    """Render the configuration again and have the running PBX read it; calls go on."""
    settings = load_settings(config)
    pbx = PrivatePbx.of(settings)
    render_asterisk(settings, pbx.paths)
    pbx.reload()
    _say("reloaded")


def _prepare_voice(settings: Settings) -> None:
    """Render what the dialplan plays. Before the start: Asterisk looks for its music then, and only then."""
    from agi.voice.cache import VoiceCache

    voice = VoiceCache(settings)
    try:
        missing = voice.prepare()
    finally:
        voice.close()
    if missing:
        _say(f"{missing} prompts could not be rendered; is espeak-ng installed? Try: fourthring say hello")


def _show(status: PbxStatus, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(status.as_json()))
    elif status.running:
        typer.echo(f"Asterisk {status.version} runs as process {status.pid}")
    else:
        typer.echo("The private PBX is not running; start it with: fourthring pbx start")
