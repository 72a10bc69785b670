"""Recogniser benchmarks: what a sliding update saves beside a full forward, and which runtime is fastest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from bench_pipeline import in_fresh_process
from rich.console import Console
from rich.table import Table

VIT = "ViT-B/16"

Device = Annotated[str, typer.Option(help="cpu, or cuda.")]
Threads = Annotated[int, typer.Option(help="CPU threads.")]
Compact = Annotated[bool, typer.Option("--compact", help="The small model instead of ViT-B/16.")]


def recognizer(
    device: Device = "cpu",
    threads: Threads = 1,
    compact: Compact = False,
    people: Annotated[int, typer.Option(help="People in a batch.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds; the cases alternate, the fastest counts.")] = 5,
    peak: Annotated[float, typer.Option(help="The device's peak in TFLOP/s, to give the share reached.")] = 0.0,
) -> None:
    """A new reading three ways: text and all (as the public code), cached text, and one new crop on cached features."""
    outcome = in_fresh_process(time_readings, device, threads, compact, people, rounds)
    seconds = outcome["seconds"]
    table = Table("one reading of each person", "ms", "times the sliding update")
    for name, value in seconds.items():
        table.add_row(name, f"{1e3 * value:.1f}", f"{value / seconds['sliding update']:.2f}")
    console = Console()
    console.print(f"{outcome['model']}, {people} person(s), windows of {outcome['frames']} crops, {outcome['device']}")
    console.print(table)
    for part, flops in outcome["flops"].items():
        share = f", {flops * people / seconds[part] / 1e12 / peak:.1%} of the peak" if peak else ""
        console.print(f"{part}: {flops / 1e9:.1f} GFLOP{share}")
    console.print(f"kept a crop: {outcome['fp16'] / 1e6:.2f} MB in fp16, {outcome['fp32'] / 1e6:.2f} MB in fp32")
    for name, value in seconds.items():
        if name != "words by the text tower":
            console.print(f"{name}: {people / value:.1f} readings/s")


def runtimes(
    checkpoint: Annotated[str, typer.Argument(help="A .safetensors checkpoint, graphs beside it.")] = "default",
    device: Device = "cpu",
    threads: Threads = 1,
    people: Annotated[int, typer.Option(help="People in a batch.")] = 8,
    rounds: Annotated[int, typer.Option(help="Rounds of a pass; the fastest counts.")] = 10,
    passes: Annotated[int, typer.Option(help="Passes over the runtimes, which alternate.")] = 3,
    vit: Annotated[bool, typer.Option("--vit", help="Measure ViT-B/16 with fresh weights in PyTorch too.")] = False,
) -> None:
    """Crops encoded and windows read a second by each runtime that can serve a checkpoint here."""
    table = Table("runtime", "ms a crop", "ms a window", "updates/s (one new crop each)")
    cases: dict[str, tuple[str | None, str]] = {
        backend: (checkpoint, backend) for backend in ("torch", "onnxruntime", "openvino")
    }
    if vit:
        cases[VIT] = (None, "torch")
    outcomes: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    reasons: dict[str, str] = {}
    for _ in range(passes):
        for name in cases.keys() - reasons.keys():
            model, backend = cases[name]
            try:
                outcomes[name].append(in_fresh_process(time_runtime, model, device, backend, threads, people, rounds))
            except ValueError as error:
                reasons[name] = str(error)
    for name, found in outcomes.items():
        if name in reasons:
            table.add_row(name, f"not here: {reasons[name]}", "", "")
            continue
        crop, window = (min(outcome[part] for outcome in found) for part in ("crop", "window"))
        label = f"{name} ({found[0]['device']})"
        table.add_row(label, f"{1e3 * crop:.1f}", f"{1e3 * window:.1f}", f"{1 / (crop + window):.1f}")
    console = Console()
    console.print(f"{checkpoint}, batches of {people}, {device_name(device, threads)}")
    console.print(table)


def time_runtime(
    checkpoint: str | None, device: str, backend: str, threads: int, people: int, rounds: int
) -> dict[str, Any]:
    """Seconds a crop and a window cost on one runtime; without a checkpoint, of ViT-B/16 with fresh weights."""
    import torch

    from par_model.parity import random_crops
    from par_model.recognizer import Recognizer
    from par_model.runtimes import TorchRuntime

    if checkpoint is None:
        torch.set_num_threads(threads)
        model = random_model(compact=False)
        recogniser = Recognizer(TorchRuntime(model, device), model.config, model.schema, batch=max(32, people))
    else:
        recogniser = Recognizer.load(checkpoint, device, backend=backend, threads=threads)  # type: ignore[arg-type]
    crops = random_crops(people)
    features = recogniser.encode(crops)
    windows = [[features[(i + t) % people] for t in range(recogniser.frames)] for i in range(people)]
    fewest = {"crop": float("inf"), "window": float("inf")}
    for _ in range(rounds + 1):
        for name, case in (
            ("crop", lambda: recogniser.encode(crops)),
            ("window", lambda: recogniser.recognize(windows)),
        ):
            start = time.perf_counter()
            case()
            fewest[name] = min(fewest[name], time.perf_counter() - start)
    return {
        "crop": fewest["crop"] / people,
        "window": fewest["window"] / people,
        "device": recogniser.device,
    }


def time_readings(device: str, threads: int, compact: bool, people: int, rounds: int) -> dict[str, Any]:
    """Fewest seconds of each case, and the bytes a crop keeps."""
    import torch

    from par_model.parity import random_crops
    from par_model.recognizer import Recognizer
    from par_model.runtimes import TorchRuntime
    from par_model.text import tokenize

    torch.set_num_threads(threads)
    model = random_model(compact)
    config = model.config
    tower, tokens = random_text_tower().to(device), tokenize(model.schema.words).to(device)
    runtime = TorchRuntime(model, device)
    recogniser = Recognizer(runtime, config, model.schema, batch=max(32, people))
    halves = Recognizer(TorchRuntime(model, device, "fp16"), config, model.schema)
    crops = random_crops(people)
    kept = recogniser.encode(random_crops(config.frames - 1, seed=1))
    frames = torch.randn(people, config.frames, 3, *config.image_size, device=runtime.device)
    windows = [[*kept, new] for new in recogniser.encode(crops)]

    @torch.inference_mode()
    def full() -> None:
        with torch.autocast("cuda", torch.float16, enabled=runtime.device != "cpu"):
            model(frames)
        settle()

    @torch.inference_mode()
    def text() -> None:
        tower(tokens)
        settle()

    def sliding() -> None:
        recogniser.recognize([[*kept, new] for new in recogniser.encode(crops)])

    def settle() -> None:
        if runtime.device != "cpu":
            torch.cuda.synchronize()

    cases: dict[str, Callable[[], object]] = {
        "words by the text tower": text,
        "full forward, words cached": full,
        "sliding update": sliding,
        "  of it: clip_head (window only)": lambda: recogniser.recognize(windows),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    seconds = {name: min(values) for name, values in times.items()}
    public = seconds["words by the text tower"] + seconds["full forward, words cached"]
    return {
        "seconds": {"full forward, words recomputed (public code)": public, **seconds},
        "fp16": halves.encode(crops[:1])[0].nbytes,
        "fp32": Recognizer(TorchRuntime(model, device, "fp32"), config, model.schema).encode(crops[:1])[0].nbytes,
        "flops": {name: count_flops(cases[name]) / people for name in ("full forward, words cached", "sliding update")},
        "frames": config.frames,
        "model": "compact model" if compact else VIT,
        "device": device_name(runtime.device, threads),
    }


def random_model(compact: bool) -> Any:
    """A model with fresh weights; the numbers do not depend on what it has learnt."""
    import torch

    from par_model import ModelConfig, build, load_schema
    from par_model.text import hashed_text_features

    torch.manual_seed(0)
    config = ModelConfig.compact() if compact else ModelConfig()
    schema = load_schema("mars")
    return build(config, schema, hashed_text_features(schema.prompts, config.text_width)).eval()


def random_text_tower() -> Any:
    """CLIP ViT-B/16's text tower with fresh weights."""
    from open_clip.transformer import QuickGELU, TextTransformer

    return TextTransformer(width=512, heads=8, layers=12, output_dim=512, act_layer=QuickGELU).eval()


def count_flops(case: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products and convolutions of a call, two a multiply-add."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # It has no formula for the fused attention of a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        case()
    return float(counter.get_total_flops())


def device_name(device: str, threads: int) -> str:
    """What the numbers were measured on."""
    import torch

    if device != "cpu":
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        name = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "CPU")
    return f"{name}, {threads} thread(s)"


if __name__ == "__main__":
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.command()(recognizer)
    app.command()(runtimes)
    app()
