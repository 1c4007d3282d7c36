/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs operations on a table of clients in the kernel: each run does one operation of the
 * runner in the frame.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "tests/table/operations.h"

/* Size: set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct table_set);
} clients SEC(".maps");

/* Data of one run: the stack of Linux 6.1 has no room for it. */
struct run {
	struct runner runner;
	struct operation operation;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

/* Set before load. */
const volatile __u32 sets = 2;
const volatile struct table_seed seed = {};

static __always_inline int run(struct runner *runner, struct table_key *key,
			       const struct operation *operation)
{
	struct table_set *first, *second;
	struct table_seed secret;
	__u32 one, other;
	__u64 hash;

	for (int i = 0; i < 6; i++)
		secret.word[i] = seed.word[i];
	hash = table_hash(&secret, key);
	one = table_first(hash, sets);
	other = table_second(hash, sets);
	first = bpf_map_lookup_elem(&clients, &one);
	second = bpf_map_lookup_elem(&clients, &other);
	key->tag = table_tag(hash);
	if (!first || !second)
		return 0;
	return run_operation(runner, first, second, key, operation, 0);
}

SEC("xdp")
int table_ops(struct xdp_md *ctx)
{
	struct runner *frame = (void *)(long)ctx->data;
	struct address address;
	struct table_key key;
	__u32 zero = 0;
	struct run *own = bpf_map_lookup_elem(&runs, &zero);

	if (!own || (void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	own->runner = *frame;
	if (own->runner.next == own->runner.end)
		return XDP_DROP;
	own->operation = operation_of(&own->runner, own->runner.next);
	address = address_taught(own->operation.client);
	key = client_table_key(&address, 0);
	if (run(&own->runner, &key, &own->operation))
		own->runner.next++;
	else
		own->runner.again++;
	*frame = own->runner;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
