# SPDX-License-Identifier: Apache-2.0
"""A lab for Remora: clients, a gateway, a load balancer and brokers in network namespaces."""
