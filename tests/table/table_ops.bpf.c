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
	struct runner *frame = (void *)(long)ctx->data, runner;
	struct operation operation;
	struct address address;
	struct table_key key;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	runner = *frame;
	if (runner.next == runner.end)
		return XDP_DROP;
	operation = operation_of(&runner, runner.next);
	address = address_taught(operation.client);
	key = client_table_key(&address, 0);
	if (run(&runner, &key, &operation))
		runner.next++;
	else
		runner.again++;
	*frame = runner;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
