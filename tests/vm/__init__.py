# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernels in QEMU, which see this machine's files."""
