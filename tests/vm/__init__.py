# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernels in QEMU, with this machine's files as theirs."""
