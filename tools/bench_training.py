"""Training benchmarks: what freezing the tower saves, and how fast the small model learns on a CPU."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from bench_pipeline import in_fresh_process
from bench_recognizer import Device, Threads, device_name, random_model
from rich.console import Console
from rich.table import Table


def training_memory(
    device: Device = "cpu",
    threads: Threads = 1,
    batch: Annotated[int, typer.Option(help="Tracklets a step.")] = 2,
    steps: Annotated[int, typer.Option(help="Steps; the last counts.")] = 2,
) -> None:
    """Peak memory and time of a training step at ViT-B/16: tower frozen, and everything fine-tuned."""
    table = Table("training step", "peak MB", "above the start", "s a step", "parameters that learn")
    peaks = {}
    for name, frozen in (("tower frozen", True), ("full fine-tune", False)):
        outcome = in_fresh_process(train_steps, device, threads, batch, steps, frozen)
        peaks[name] = outcome["peak"]
        rise = outcome["peak"] - outcome["start"]
        table.add_row(
            name, f"{outcome['peak']:.0f}", f"{rise:.0f}", f"{outcome['seconds']:.2f}", f"{outcome['learn']:,}"
        )
    console = Console()
    console.print(f"ViT-B/16, {batch} tracklets of 6 frames, {outcome['device']}")
    console.print(table)
    console.print(f"full fine-tune needs {peaks['full fine-tune'] / peaks['tower frozen']:.2f} times the memory")


def training_step(
    threads: Threads = 2,
    batch: Annotated[int, typer.Option(help="Tracklets a step.")] = 24,
    steps: Annotated[int, typer.Option(help="Passes a case; the fastest counts.")] = 4,
) -> None:
    """A pass of the weights that ship, forward and back on a CPU, all learning: precisions, and two ways to attend."""
    cases = [("fp32", "fused"), ("fp32", "plain"), ("bf16", "fused"), ("bf16", "plain")]
    seconds = [in_fresh_process(time_passes, threads, batch, steps, *case)["seconds"] for case in cases]
    table = Table("precision", "attention", "s a pass", "times the last")
    for case, value in zip(cases, seconds, strict=True):
        table.add_row(*case, f"{value:.2f}", f"{value / seconds[-1]:.2f}")
    console = Console()
    console.print(f"weights that ship, {batch} tracklets of 6 frames, {device_name('cpu', threads)}")
    console.print(table)


def train_steps(device: str, threads: int, batch: int, steps: int, frozen: bool) -> dict[str, Any]:
    """Peak memory in MB of a few training steps and the seconds of the last."""
    import torch

    from par_model.losses import weighted_bce

    torch.set_num_threads(threads)
    model = random_model(compact=False).to(device).train()
    model.backbone.freeze(frozen)
    frames = torch.randn(batch, 6, 3, 224, 224, device=device)
    labels = torch.randint(0, 2, (batch, 43), device=device).float()
    ratio = torch.full((43,), 0.3, device=device)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    before = memory_megabytes(device, peak=False)
    for _ in range(steps):
        start = time.perf_counter()
        optimiser.zero_grad()
        weighted_bce(model(frames), labels, ratio).backward()
        optimiser.step()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "start": before,
        "peak": memory_megabytes(device, peak=True),
        "learn": model.trainable(),
        "device": device_name(device, threads),
    }


def time_passes(threads: int, batch: int, steps: int, precision: str, attention: str) -> dict[str, Any]:
    """Seconds of the fastest of a few forward and backward passes on a CPU. attention: fused or plain."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from par_model.checkpoint import load
    from par_model.loading import checkpoint_path
    from par_model.losses import weighted_bce

    torch.set_num_threads(threads)
    model = load(checkpoint_path("default")).float().train()
    model.backbone.freeze(False)
    frames = torch.randn(batch, 6, 3, *model.config.image_size)
    labels = torch.randint(0, 2, (batch, 43)).float()
    ratio = torch.full((43,), 0.3)
    seconds = []
    for _ in range(steps + 1):
        model.zero_grad()
        start = time.perf_counter()
        backend = SDPBackend.MATH if attention == "plain" else SDPBackend.FLASH_ATTENTION
        with sdpa_kernel(backend), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(frames)
        weighted_bce(logits.float(), labels, ratio).backward()
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds[1:])}


def memory_megabytes(device: str, *, peak: bool) -> float:
    """Memory of this process (resident) or of its share of the GPU, now or at its highest."""
    if device != "cpu":
        import torch

        return (torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()) / 1e6
    wanted = "VmHWM" if peak else "VmRSS"
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1e3 for line in status if line.startswith(wanted))


if __name__ == "__main__":
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.command()(training_memory)
    app.command()(training_step)
    app()
