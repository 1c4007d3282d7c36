// SPDX-License-Identifier: GPL-2.0-only
/*
 * VLAN tags on the gateway's end of the load balancer's link, for kernels without the
 * module 8021q. Every frame that leaves gets a tag. Frames that arrive may have one
 * or none: those of the load balancer's own stack have none.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VLAN 100

SEC("tc")
int add_tag(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VLAN) ? TC_ACT_SHOT
								    : TC_ACT_OK;
}

SEC("tc")
int remove_tag(struct __sk_buff *skb)
{
	if (!skb->vlan_present)
		return TC_ACT_OK;
	/* Drop frames of other VLANs. */
	if ((skb->vlan_tci & 0xfff) != VLAN || bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
