# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, installed in roots of their own."""
