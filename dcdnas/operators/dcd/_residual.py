"""The low-rank dynamic residual of DCD: on one tap, on all taps, or of a depthwise kernel.

Each knows its parameters, how it acts on activations, and the kernel it amounts to.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, g groups, B blocks (here of the whole
layer), L latent channels of a block, K latent kernel elements.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.operators._norm import BatchNorm
from dcdnas.operators._per_sample import centred, per_sample_conv2d
from dcdnas.operators.dcd._plan import Plan


class OneTap(nn.Module):
    """P Phi(x) Q^T on the centre tap; as published: P [BN(Phi(x) z) + z] with z = BN(Q^T x).

    In eval the published one is P (I + S Phi) (Q^T x, 1) with the norms' scales and shifts folded in: `rows` are S, which the
    controller puts into Phi's weights, and the shift of the first norm is one more column of Q.
    """

    def __init__(self, plan: Plan, padding: int) -> None:
        super().__init__()
        self.plan, self.padding = plan, padding
        latent = plan.blocks * plan.latent
        self.p = nn.Parameter(torch.empty(plan.geometry.out_channels, plan.latent, 1, 1))
        self.q = nn.Parameter(torch.empty(latent, plan.geometry.in_channels // plan.blocks, 1, 1))
        self.norm_q = BatchNorm(latent) if plan.published else None
        self.norm_phi = BatchNorm(latent) if plan.published else None

    @property
    def rows(self) -> Tensor | None:
        """What Phi's rows are scaled by, (L,), where the norms are folded."""
        return None if self.norm_phi is None else self.norm_phi.folded()[0]

    def forward(self, x: Tensor, phi: Tensor, portable: bool = False) -> Tensor:
        """(N, C, H, W), Phi (N, B, L, L) -> (N, D, H', W'): latent channels first, then their fusion."""
        plan = self.plan
        z = F.conv2d(self._seen(x), self.q, None, plan.geometry.stride, 0, 1, plan.blocks)
        if self.norm_q is not None:
            z = self.norm_q(z)
        mixed = phi @ torch.unflatten(z.flatten(2), 1, (plan.blocks, plan.latent))
        y = torch.unflatten(mixed.flatten(1, 2), -1, z.shape[2:])
        if self.norm_phi is not None:
            y = self.norm_phi(y) + z
        return F.conv2d(y, self.p, groups=plan.blocks)

    def fused(self, x: Tensor, phi: Tensor) -> Tensor:
        """The same with Phi multiplied onto Q, or onto P, beforehand; `phi` with `rows`."""
        plan, x = self.plan, self._seen(x)
        p, q = self._matrices()
        phi, shift = self._folded(phi)
        stride = plan.geometry.stride
        if plan.input_side:
            inner = phi @ q
            inner, shift = (inner, None) if shift is None else (inner[..., :-1], inner[..., -1:] + shift)
            z = per_sample_conv2d(x, _as_kernel(inner), stride, groups=plan.blocks, portable=True)
            z = z if shift is None else z + shift.flatten(1, 2).unsqueeze(-1)
            return F.conv2d(z, self.p, groups=plan.blocks)
        q, before = (q, None) if shift is None else (q[..., :-1], q[..., -1].flatten())
        z = F.conv2d(x, q.flatten(0, 1)[..., None, None], before, stride, 0, 1, plan.blocks)
        y = per_sample_conv2d(z, _as_kernel(p @ phi), groups=plan.blocks, portable=True)
        return y if shift is None else y + (p @ shift).flatten().view(-1, 1, 1)

    def kernels(self, phi: Tensor) -> tuple[Tensor, Tensor | None]:
        """Phi (N, B, L, L), with `rows` -> the kernel (N, D, C/g, k, k), and the shift (N, D) of folded norms."""
        plan = self.plan
        p, q = self._matrices()
        phi, shift = self._folded(phi)
        if plan.input_side:
            inner = phi @ q
            inner = inner if shift is None else inner + F.pad(shift, (q.shape[-1] - 1, 0))
            matrix = p @ inner
        else:
            matrix = (p @ phi) @ q
            matrix = matrix if shift is None else matrix + F.pad(p @ shift, (q.shape[-1] - 1, 0))
        after = None if shift is None else matrix[..., -1].flatten(1)
        matrix = matrix if shift is None else matrix[..., :-1]
        k = plan.geometry.kernel_size
        before = k // 2
        around = (before, k - 1 - before, before, k - 1 - before)
        kernel = block_diagonal(matrix.unsqueeze(-1), plan.geometry.groups)[..., None]
        return (F.pad(kernel, around) if k > 1 else kernel), after

    def _seen(self, x: Tensor) -> Tensor:
        return centred(x, self.plan.geometry.kernel_size, self.padding, self.plan.geometry.dilation)

    def _matrices(self) -> tuple[Tensor, Tensor]:
        """P as (B, D/B, L), and Q^T as (B, L, C/B); with norms it has the first one folded in, its shift as a last column."""
        plan, q = self.plan, self.q.flatten(1)
        if self.norm_q is not None:
            scale, shift = self.norm_q.folded()
            q = torch.cat([q * scale.unsqueeze(1), shift.unsqueeze(1)], 1)
        return torch.unflatten(self.p.flatten(1), 0, (plan.blocks, -1)), torch.unflatten(q, 0, (plan.blocks, plan.latent))

    def _folded(self, phi: Tensor) -> tuple[Tensor, Tensor | None]:
        """Phi plus the identity, and the second norm's shift (B, L, 1); where there are no norms Phi itself."""
        if self.norm_phi is None:
            return phi, None
        eye = torch.eye(self.plan.latent, dtype=phi.dtype, device=phi.device)
        return phi + eye, self.norm_phi.folded()[1].view(1, -1, 1)


class AllTaps(nn.Module):
    """Phi(x) x1 Q x2 P x3 R: the residual of a k x k kernel with all its taps."""

    def __init__(self, plan: Plan, padding: int) -> None:
        super().__init__()
        self.plan, self.padding = plan, padding
        self.p = nn.Parameter(torch.empty(plan.geometry.out_channels, plan.latent, 1, 1))
        self.q = nn.Parameter(torch.empty(plan.blocks * plan.latent, plan.geometry.in_channels // plan.blocks, 1, 1))
        self.r = nn.Parameter(torch.empty(plan.geometry.kernel_size**2, plan.kernel_latent))

    rows = None

    def forward(self, x: Tensor, phi: Tensor, portable: bool = False) -> Tensor:
        """(N, C, H, W), Phi (N, B, L, L, K) -> (N, D, H', W'): a k x k convolution of the latent channels, one a sample."""
        plan, g = self.plan, self.plan.geometry
        z = F.conv2d(x, self.q, groups=plan.blocks)
        kernel = torch.unflatten((phi @ self.r.t()).flatten(1, 2), -1, (g.kernel_size, g.kernel_size))
        y = per_sample_conv2d(z, kernel, g.stride, self.padding, g.dilation, plan.blocks, portable)
        return F.conv2d(y, self.p, groups=plan.blocks)

    def kernels(self, phi: Tensor) -> tuple[Tensor, None]:
        """Phi (N, B, L, L, K) -> the kernel (N, D, C/g, k, k)."""
        plan, g = self.plan, self.plan.geometry
        p = torch.unflatten(self.p.flatten(1), 0, (plan.blocks, -1))
        q = torch.unflatten(self.q.flatten(1), 0, (plan.blocks, plan.latent))
        taps = (phi @ self.r.t()).movedim(-1, 1)
        matrices = p @ (taps @ q) if plan.input_side else (p @ taps) @ q
        kernel = block_diagonal(matrices.movedim(1, -1), g.groups)
        return torch.unflatten(kernel, -1, (g.kernel_size, g.kernel_size)), None


class Depthwise(nn.Module):
    """P Phi(x) R^T: the residual of a depthwise kernel, a D x k^2 matrix."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.p = nn.Parameter(torch.empty(plan.geometry.out_channels, plan.latent))
        self.r = nn.Parameter(torch.empty(plan.geometry.kernel_size**2, plan.kernel_latent))

    rows = None

    def kernels(self, phi: Tensor) -> tuple[Tensor, None]:
        """Phi (N, L, K) -> the kernel (N, D, 1, k, k)."""
        k = self.plan.geometry.kernel_size
        matrix = self.p @ (phi @ self.r.t()) if self.plan.input_side else (self.p @ phi) @ self.r.t()
        return torch.unflatten(matrix, -1, (1, k, k)), None


def block_diagonal(blocks: Tensor, groups: int) -> Tensor:
    """Blocks (N, B, D/B, C/B, T) on the diagonal of each group's matrix: (N, D, C/g, T)."""
    per_group = blocks.shape[1] // groups
    if per_group == 1:
        return blocks.flatten(1, 2)
    eye = torch.eye(per_group, dtype=torch.bool, device=blocks.device)[:, None, :, None, None]
    spread = torch.unflatten(blocks, 1, (groups, per_group)).unsqueeze(4)
    return torch.where(eye, spread, 0.0).flatten(4, 5).flatten(1, 3)


def _as_kernel(matrices: Tensor) -> Tensor:
    """(N, B, D/B, C/B) -> the kernel (N, D, C/B, 1, 1) of a 1x1 convolution in B groups."""
    return matrices.flatten(1, 2)[..., None, None]
