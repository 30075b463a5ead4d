"""The low-rank dynamic residual of DCD: on one tap, on all taps, or of a depthwise kernel.

Each class holds the parameters of a residual, adds it to a kernel and, except for depthwise kernels, applies it to activations.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, g groups, B blocks (here of the whole
layer), L latent channels of a block, K latent kernel elements.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.operators._kernels import per_sample
from dcdnas.operators._norm import StatedNorm, added
from dcdnas.operators._per_sample import Portable, centred, per_sample_conv2d
from dcdnas.operators._product import plus_product
from dcdnas.operators.dcd._plan import Plan


class OneTap(nn.Module):
    """P Phi(x) Q^T on the centre tap; as published: P [BN(Phi(x) z) + z] with z = BN(Q^T x).

    In eval mode the published residual is P (I + S Phi) (Q^T x, 1) with the norms' scales and shifts folded in: `rows` are S,
    which the controller multiplies into Phi's weights, and the first norm's shift is an additional column of Q^T. The norms can
    be folded in training too, because the statistics of the second one follow from Phi and the second moments of z, an L x L
    matrix for each sample. After `deploy` all of this is in the parameters: `columns` are Q^T with the first norm folded in and
    its shift as the last column.
    """

    columns: nn.Parameter | None
    shift_phi: nn.Parameter | None

    def __init__(self, plan: Plan, padding: int) -> None:
        super().__init__()
        self.plan, self.padding = plan, padding
        latent = plan.blocks * plan.latent
        self.p = nn.Parameter(torch.empty(plan.geometry.out_channels, plan.latent, 1, 1))
        self.q = nn.Parameter(torch.empty(latent, plan.geometry.in_channels // plan.blocks, 1, 1))
        self.norm_q = StatedNorm(latent) if plan.published else None
        self.norm_phi = StatedNorm(latent) if plan.published else None
        self.register_parameter("columns", None)
        self.register_parameter("shift_phi", None)

    @torch.no_grad()
    def deploy(self) -> Tensor | None:
        """Folds the first norm into Q, and returns the constant that the second one adds to all outputs, (D,).

        If Phi is multiplied onto P, this constant is counted as computed for each input: it stays a parameter, and None is
        returned. Without norms None is returned too.
        """
        norms = self._folded()
        if norms is None:
            return None
        self.q.mul_(norms.scale_q.view(-1, 1, 1, 1))
        self.columns = nn.Parameter(torch.cat([self.q.flatten(1), norms.shift_q.unsqueeze(1)], 1))
        self.norm_q = self.norm_phi = None
        if self.plan.input_side:
            return self.p.flatten(1) @ norms.shift_phi
        self.shift_phi = nn.Parameter(norms.shift_phi.unsqueeze(-1))
        return None

    @property
    def rows(self) -> Tensor | None:
        """Factors of Phi's rows, (L,), that fold in the second norm; None without norms."""
        return None if self.norm_phi is None else self.norm_phi.folded()[0]

    def forward(self, x: Tensor, phi: Tensor, after: Tensor | None = None, portable: Portable = False) -> Tensor:
        """Applies the residual to (N, C, H, W) with Phi (N, B, L, L) and a bias (D,) -> (N, D, H', W'), factor by factor."""
        plan = self.plan
        before = None if self.columns is None else self.columns[:, -1]
        z = F.conv2d(self._seen(x), self.q, before, plan.geometry.stride, 0, 1, plan.blocks)
        if self.norm_q is not None:
            z = self.norm_q(z)
        mixed = per_sample(phi) @ torch.unflatten(z.flatten(2), 1, (plan.blocks, plan.latent))
        y = torch.unflatten(mixed.flatten(1, 2), -1, z.shape[2:])
        if self.norm_phi is not None:
            y = self.norm_phi(y) + z
        elif self.shift_phi is not None:
            y = y + self.shift_phi.view(-1, 1, 1)
        return F.conv2d(y, self.p, after, groups=plan.blocks)

    def fused(self, x: Tensor, phi: Tensor, after: Tensor | None = None) -> Tensor:
        """Computes `forward` with Phi first multiplied onto Q or onto P; `phi` is already scaled by `rows`."""
        plan, x = self.plan, self._seen(x)
        p, q, phi, shift = self._matrices(phi, self._folded())
        stride = plan.geometry.stride
        affine = q.shape[-1] > self.q.shape[1]
        if plan.input_side:
            inner, before = phi @ q, None
            if affine:
                inner, before = inner[..., :-1], _plus(inner[..., -1:], shift).flatten(1)
            z = per_sample_conv2d(x, _as_kernel(inner), stride, groups=plan.blocks, portable=True, bias=before)
            return F.conv2d(z, self.p, after, groups=plan.blocks)
        q, before = (q[..., :-1], q[..., -1].flatten()) if affine else (q, None)
        z = F.conv2d(x, q.reshape(self.q.shape), before, stride, 0, 1, plan.blocks)
        after = after if shift is None else added(after, (p @ shift).flatten())
        return per_sample_conv2d(z, _as_kernel(p @ phi), groups=plan.blocks, portable=True, bias=after)

    def kernels(self, x: Tensor, phi: Tensor, static: Tensor) -> tuple[Tensor, Tensor | None]:
        """Adds the residual to a kernel and returns the sum (N, D, C/g, k, k) and the norms' shift (N, D), None without norms.

        Args:
            x: (N, C, H, W).
            phi: (N, B, L, L), in eval mode already scaled by `rows`.
            static: the kernel, (1 or N, D, C/g, k, k).
        """
        norms = self._folded()
        if self.norm_q is not None and self.norm_phi is not None and self.training:
            norms, rows = self._observed(x, phi, self.norm_q, self.norm_phi)
            phi = phi * rows.unsqueeze(1)
        p, q, phi, shift = self._matrices(phi, norms)
        affine = q.shape[-1] > self.q.shape[1]
        if self.plan.input_side:
            left, right, constant = p.expand(*phi.shape[:-2], -1, -1), phi @ q, None
            after = _plus(right[..., -1:], shift) if affine else None
        else:
            left, right, constant = p @ phi, q.expand(*phi.shape[:-2], -1, -1), None if shift is None else p @ shift
            after = right[..., -1:] if affine else None
        kernel = self._on_centre(static, left, right[..., :-1] if affine else right)
        return kernel, None if after is None else _plus(left @ after, constant).flatten(1)

    def _on_centre(self, static: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Adds (N, B, D/B, L) @ (N, B, L, C/B) to the centre tap of the kernel (.., D, C/g, k, k)."""
        k = self.plan.geometry.kernel_size
        if self.plan.blocks == k == 1:
            return plus_product(static.flatten(2), left, right)[..., None, None]
        residual = (left @ right).unsqueeze(1) if self.plan.blocks == 1 else left @ right
        kernel = block_diagonal(residual.unsqueeze(-1), self.plan.geometry.groups)[..., None]
        return static + (F.pad(kernel, (k // 2, k - 1 - k // 2) * 2) if k > 1 else kernel)

    def _seen(self, x: Tensor) -> Tensor:
        return centred(x, self.plan.geometry.kernel_size, self.padding, self.plan.geometry.dilation)

    def _matrices(self, phi: Tensor, norms: Norms | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Returns P (B, D/B, L), Q^T (B, L, C/B), Phi and None; with one block all lack the axis B.

        With norms, Q^T has the first norm folded in and its shift as an additional last column, Phi includes the identity, and
        the second norm's shift (B, L, 1) replaces None.
        """
        plan, q = self.plan, self.q.flatten(1)
        shift: Tensor | None = None
        if self.columns is not None:
            q, shift = self.columns, self.shift_phi
        elif norms is not None:
            q = torch.cat([q * norms.scale_q.unsqueeze(1), norms.shift_q.unsqueeze(1)], 1)
            phi = phi + torch.eye(plan.latent, dtype=phi.dtype, device=phi.device)
            shift = norms.shift_phi.unsqueeze(-1)
        if plan.blocks == 1:
            return self.p.flatten(1), q, phi.squeeze(1), shift
        p, q = torch.unflatten(self.p.flatten(1), 0, (plan.blocks, -1)), torch.unflatten(q, 0, (plan.blocks, plan.latent))
        return p, q, phi, shift

    def _folded(self) -> Norms | None:
        if self.norm_q is None or self.norm_phi is None:
            return None
        return Norms(*self.norm_q.folded(), self.norm_phi.folded()[1])

    def _observed(self, x: Tensor, phi: Tensor, norm_q: StatedNorm, norm_phi: StatedNorm) -> tuple[Norms, Tensor]:
        """Returns the norms for this batch, and the second one's scale.

        All means and variances are products with M = E[(u, 1) (u, 1)^T] of each sample, where u is Q^T x: the first norm is
        affine in u, and the second one's input, Phi z, is linear in (u, 1). The maps themselves are read only once. u is centred
        at the first norm's running mean, which preserves precision if the mean is large.
        """
        assert norm_q.running_mean is not None
        centre = norm_q.running_mean.clone()
        rows = torch.cat([self.q, torch.zeros_like(self.q[:1])])
        z = F.conv2d(self._seen(x), rows, torch.cat([-centre, centre.new_ones(1)]), self.plan.geometry.stride).flatten(2)
        with torch.autocast(x.device.type, enabled=False):
            z, phi = z.to(norm_q.weight.dtype), phi.squeeze(1).to(norm_q.weight.dtype)
            count = z.shape[0] * z.shape[2]
            if count <= 1:
                return Norms(*norm_q.folded(), norm_phi.folded()[1]), norm_phi.folded()[0]
            moments = z @ z.transpose(1, 2) / z.shape[2]
            over_all = moments.mean(0)
            mean = over_all[:-1, -1]
            variance = (over_all.diagonal()[:-1] - mean.square()).clamp_min(0)
            scale_q, shift_q = norm_q.observed(mean + centre, variance, count)
            mixed = phi @ torch.cat([torch.diag(scale_q), (shift_q + scale_q * centre).unsqueeze(1)], 1)
            seen = mixed @ moments
            mean, second = seen[..., -1].mean(0), (seen * mixed).sum(2).mean(0)
            scale_phi, shift_phi = norm_phi.observed(mean, (second - mean.square()).clamp_min(0), count)
        return Norms(scale_q, shift_q, shift_phi), scale_phi


class Norms(NamedTuple):
    """The two norms as scales and shifts, (L,) each; the scale of the second one is in Phi."""

    scale_q: Tensor
    shift_q: Tensor
    shift_phi: Tensor


class AllTaps(nn.Module):
    """Phi(x) x1 Q x2 P x3 R: the residual on all taps of a k x k kernel."""

    def __init__(self, plan: Plan, padding: int) -> None:
        super().__init__()
        self.plan, self.padding = plan, padding
        self.p = nn.Parameter(torch.empty(plan.geometry.out_channels, plan.latent, 1, 1))
        self.q = nn.Parameter(torch.empty(plan.blocks * plan.latent, plan.geometry.in_channels // plan.blocks, 1, 1))
        self.r = nn.Parameter(torch.empty(plan.geometry.kernel_size**2, plan.kernel_latent))

    rows = None

    def forward(self, x: Tensor, phi: Tensor, after: Tensor | None = None, portable: Portable = False) -> Tensor:
        """Applies the residual to (N, C, H, W) with Phi (N, B, L, L, K) and a bias (D,) -> (N, D, H', W').

        It convolves the latent channels with k x k kernels, one set for each sample.
        """
        plan, g = self.plan, self.plan.geometry
        z = F.conv2d(x, self.q, groups=plan.blocks)
        kernel = torch.unflatten((phi @ self.r.t()).flatten(1, 2), -1, (g.kernel_size, g.kernel_size))
        y = per_sample_conv2d(z, kernel, g.stride, self.padding, g.dilation, plan.blocks, portable)
        return F.conv2d(y, self.p, after, groups=plan.blocks)

    def kernels(self, x: Tensor, phi: Tensor, static: Tensor) -> tuple[Tensor, None]:
        """Adds the residual with Phi (N, B, L, L, K) to the kernel `static` -> (N, D, C/g, k, k)."""
        plan, g = self.plan, self.plan.geometry
        p = torch.unflatten(self.p.flatten(1), 0, (plan.blocks, -1))
        q = torch.unflatten(self.q.flatten(1), 0, (plan.blocks, plan.latent))
        taps = (phi @ self.r.t()).movedim(-1, 1)
        matrices = p @ (taps @ q) if plan.input_side else (p @ taps) @ q
        kernel = block_diagonal(matrices.movedim(1, -1), g.groups)
        return static + torch.unflatten(kernel, -1, (g.kernel_size, g.kernel_size)), None


class Depthwise(nn.Module):
    """P Phi(x) R^T: the residual of a depthwise kernel, a D x k^2 matrix."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.p = nn.Parameter(torch.empty(plan.geometry.out_channels, plan.latent))
        self.r = nn.Parameter(torch.empty(plan.geometry.kernel_size**2, plan.kernel_latent))

    rows = None

    def kernels(self, x: Tensor, phi: Tensor, static: Tensor) -> tuple[Tensor, None]:
        """Adds the residual with Phi (N, L, K) to the kernel `static` -> (N, D, 1, k, k)."""
        n, k = phi.shape[0], self.plan.geometry.kernel_size
        p, r = self.p.expand(n, -1, -1), self.r.t().expand(n, -1, -1)
        left, right = (p, phi @ self.r.t()) if self.plan.input_side else (self.p @ phi, r)
        return plus_product(static.flatten(2), left, right).view(-1, len(self.p), 1, k, k), None


def block_diagonal(blocks: Tensor, groups: int) -> Tensor:
    """Places blocks (N, B, D/B, C/B, T) on the diagonal of each group's matrix: (N, D, C/g, T)."""
    per_group = blocks.shape[1] // groups
    if per_group == 1:
        return blocks.flatten(1, 2)
    eye = torch.eye(per_group, dtype=torch.bool, device=blocks.device)[:, None, :, None, None]
    spread = torch.unflatten(blocks, 1, (groups, per_group)).unsqueeze(4)
    return torch.where(eye, spread, 0.0).flatten(4, 5).flatten(1, 3)


def _plus(a: Tensor, b: Tensor | None) -> Tensor:
    return a if b is None else a + b


def _as_kernel(matrices: Tensor) -> Tensor:
    """Reshapes (N, B, D/B, C/B) or (N, D, C) to the kernel (N, D, C/B, 1, 1) of a 1x1 convolution with B groups."""
    return matrices.flatten(1, -2)[..., None, None]
