/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks up or inserts one client per run, in one of the kernel's hashes and in a
 * set-associative table (bpf/table.h).
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bench/tables.h"
#include "bpf/clients.h"

/* Sizes are set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct client_key);
	__type(value, struct prediction);
} hashed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct table_set);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct table_seed);
} seeds SEC(".maps");

const volatile __u32 sets_in_all = 2;

/* The client of this run, IPv4. The frame contains the number of the run. A look-up takes
 * one of `clients`, an insertion a client that was never there.
 */
static __always_inline int next_client(struct __sk_buff *skb, struct client_key *client)
{
	struct table_run *run = (void *)(long)skb->data;

	if ((void *)(run + 1) > (void *)(long)skb->data_end)
		return -1;
	client->client.word[0] = 0;
	client->client.word[1] = 0;
	client->client.word[2] = run->above;
	client->client.word[3] = client_number(run->next++, run->clients);
	client->service = 0;
	client->pad = 0;
	return 0;
}

SEC("tc")
int bench_nothing(struct __sk_buff *skb)
{
	struct client_key client;

	return next_client(skb, &client) ? TC_ACT_SHOT : (int)(client.client.word[3] & 1);
}

SEC("tc")
int bench_hash_find(struct __sk_buff *skb)
{
	struct client_key client;
	const struct prediction *known;

	if (next_client(skb, &client))
		return TC_ACT_SHOT;
	known = bpf_map_lookup_elem(&hashed, &client);
	return known ? known->group : TC_ACT_SHOT;
}

SEC("tc")
int bench_hash_insert(struct __sk_buff *skb)
{
	struct prediction lesson = {};
	struct client_key client;

	if (next_client(skb, &client))
		return TC_ACT_SHOT;
	return bpf_map_update_elem(&hashed, &client, &lesson, BPF_ANY) ? TC_ACT_SHOT
								       : TC_ACT_OK;
}

struct site {
	struct table_set *first, *second;
};

static __always_inline int find_sets(const struct client_key *client,
				     struct table_key *key, struct site *site)
{
	__u32 zero = 0, first, second;
	const struct table_seed *seed = bpf_map_lookup_elem(&seeds, &zero);
	__u64 hash;

	if (!seed)
		return -1;
	*key = client_table_key(&client->client, client->service);
	hash = table_hash(seed, key);
	key->tag = table_tag(hash);
	first = table_first(hash, sets_in_all);
	second = table_second(hash, sets_in_all);
	site->first = bpf_map_lookup_elem(&sets, &first);
	site->second = bpf_map_lookup_elem(&sets, &second);
	return 0;
}

SEC("tc")
int bench_table_find(struct __sk_buff *skb)
{
	struct client_key client;
	struct table_key key;
	union client_words words;
	struct site site;

	if (next_client(skb, &client) || find_sets(&client, &key, &site))
		return TC_ACT_SHOT;
	if (read_client(site.first, site.second, &key, &words, 0) != TABLE_DONE)
		return TC_ACT_SHOT;
	return words.client.group;
}

SEC("tc")
int bench_table_insert(struct __sk_buff *skb)
{
	struct client_lesson lesson = {};
	struct client_key client;
	struct table_key key;
	struct site site;

	if (next_client(skb, &client) || find_sets(&client, &key, &site))
		return TC_ACT_SHOT;
	return merge_client_lesson(site.first, site.second, &key, &lesson) == LESSON_NEW
		       ? TC_ACT_OK
		       : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
