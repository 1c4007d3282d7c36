// SPDX-License-Identifier: GPL-2.0-only
/*
 * VLAN tags on the gateway's end of the load balancer's link, where the kernel may
 * have no 8021q: what leaves is tagged, what arrives is taken with a tag or without
 * one, as from the load balancer's own stack.
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
	/* Of another VLAN: not for us. */
	if ((skb->vlan_tci & 0xfff) != VLAN || bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
