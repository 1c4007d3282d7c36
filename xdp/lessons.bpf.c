/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Merges the daemon's lessons into `predictions`, by the rule and with the code of the
 * mqtt stage. It is attached to nothing: the daemon runs it with BPF_PROG_TEST_RUN over
 * frames that consist of `struct lesson`.
 */
#include "xdp/predictions.h"

struct batch {
	struct xdp_md *ctx;
};

/* The lesson of that index, 0: the frame ends before it. */
static __always_inline struct lesson *lesson_at(const struct batch *batch, __u32 index)
{
	void *data = (void *)(long)batch->ctx->data;
	struct lesson *lesson = data + (index % MAX_LESSONS) * sizeof(*lesson);

	return (void *)(lesson + 1) <= (void *)(long)batch->ctx->data_end ? lesson : 0;
}

static long merge_next(__u32 index, void *argument)
{
	const struct batch *batch = argument;
	struct lesson *lesson = lesson_at(batch, index);
	struct prediction prediction, before;
	struct client_key client;

	if (!lesson)
		return 1;
	client = lesson->client;
	prediction = lesson->prediction;
	prediction.check = hash_check(prediction.topic_hash);
	lesson->outcome = merge_lesson(&client, &prediction, lesson->kind, &before);
	lesson->prediction = prediction;
	return 0;
}

SEC("xdp")
int remora_lessons(struct xdp_md *ctx)
{
	struct batch batch = { ctx };

	bpf_loop(MAX_LESSONS, merge_next, &batch, 0);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
