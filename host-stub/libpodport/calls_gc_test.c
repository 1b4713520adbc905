// SPDX-License-Identifier: BSD-3-Clause
//
// Garbage collection: everything is asked about once, whatever number of parts that takes.

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

// Answers as a hostd that has the containers "c00" to "c99" and looks at ten at a time; those that
// are not valid are released, but "c7." cannot be.
struct gc_model {
	unsigned int calls;
	bool seen[100]; // looked at
	char kept[101];
};

static bool names(const struct gc_request *gc, const char *id)
{
	for (size_t i = 0; i < gc->count; i++)
		if (strcmp(gc->valid[i].container_id, id) == 0)
			return true;
	return false;
}

static enum fake_answer collect(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct gc_request *gc = &call->request.body.gc;
	struct gc_reply *body = &reply->body.gc;
	struct gc_model *model = arg;
	unsigned int looked_at = 0;

	assert_string_equal(gc->network, "pods");
	model->calls++;
	memset(body, 0, sizeof(*body));
	for (int n = 0; n < 100; n++) {
		struct endpoint this = {.ifname = "eth0"};

		snprintf(this.container_id, sizeof(this.container_id), "c%02d", n);
		if (gc->has_after && endpoint_compare(&this, &gc->after) <= 0)
			continue;
		if (gc->more && endpoint_compare(&this, &gc->valid[gc->count - 1]) > 0)
			break;
		if (looked_at++ == 10 || body->failure_count == LIMIT_FAILURES) {
			body->has_next = true;
			break;
		}
		body->next = this;
		assert_false(model->seen[n]);
		model->seen[n] = true;
		model->kept[n] = names(gc, this.container_id) ? 'v' : n / 10 == 7 ? 'f' : '-';
		if (model->kept[n] == 'f') {
			struct gc_failure *failure = &body->failures[body->failure_count++];

			strcpy(failure->key.network, "pods");
			strcpy(failure->key.container_id, this.container_id);
			strcpy(failure->key.ifname, this.ifname);
			failure->code = CODE_WIRING;
			snprintf(failure->message, sizeof(failure->message), "busy %d", n);
		}
		body->released += model->kept[n] == '-';
	}
	return FAKE_REPLY;
}

static void gc_asks_about_everything_once_in_as_many_parts_as_it_takes(void **state)
{
	struct gc_model model = {0};
	struct fake_hostd *fake = fake_hostd_start(NULL, collect, &model);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_gc_request request = PODPORT_GC_REQUEST_INIT;
	struct podport_endpoint valid[80];
	struct podport_gc_result *result;
	char ids[80][16];

	// Every second one, from the last to the first; some twice; and some that hostd does not have.
	request.network = "pods";
	request.valid = valid;
	for (int n = 98; n >= 0; n -= 2) {
		snprintf(ids[request.valid_count], 16, "c%02d", n);
		valid[request.valid_count] =
			(struct podport_endpoint){ids[request.valid_count], "eth0"};
		request.valid_count++;
	}
	for (int n = 0; n < 30; n++) {
		snprintf(ids[request.valid_count], 16, n < 15 ? "c%02d" : "z%02d", 2 * n);
		valid[request.valid_count] =
			(struct podport_endpoint){ids[request.valid_count], "eth0"};
		request.valid_count++;
	}
	assert_int_equal(podport_gc(client, &request, &result, NULL), 0);
	for (int n = 0; n < 100; n++) {
		assert_true(model.seen[n]);
		assert_int_equal(model.kept[n], n % 2 == 0 ? 'v' : n / 10 == 7 ? 'f' : '-');
	}
	assert_int_equal(result->released, 45);
	assert_int_equal(result->failure_count, 5);
	assert_string_equal(result->failures[0].key.container_id, "c71");
	assert_string_equal(result->failures[0].key.network, "pods");
	assert_int_equal(result->failures[4].code, PODPORT_WIRING);
	assert_string_equal(result->failures[4].message, "busy 79");
	podport_gc_result_free(result);

	// Nothing is valid.
	memset(&model, 0, sizeof(model));
	request.valid_count = 0;
	assert_int_equal(podport_gc(client, &request, &result, NULL), 0);
	assert_int_equal(result->released, 90);
	assert_int_equal(result->failure_count, 10);
	podport_gc_result_free(result);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer stands_still(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.gc.has_next = true;
	strcpy(reply->body.gc.next.container_id, "c");
	strcpy(reply->body.gc.next.ifname, "eth0");
	return FAKE_REPLY;
}

static void gc_refuses_what_is_no_attachment_and_a_hostd_that_stands_still(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, stands_still, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_gc_request request = PODPORT_GC_REQUEST_INIT;
	const struct podport_endpoint bad[] = {{"../x", "eth0"}}, worse[] = {{"x", NULL}};
	struct podport_gc_result *result;
	struct podport_error error;

	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL); // no network
	request.network = "pods";
	request.valid = bad;
	request.valid_count = 1;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL);
	assert_non_null(strstr(error.message, "valid.container_id"));
	request.valid = worse;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL);
	assert_non_null(strstr(error.message, "valid.ifname"));
	request.valid_count = PODPORT_GC_VALID_MAX + 1;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL);
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	request.valid_count = 0;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EBADMSG);
	assert_int_equal(fake_hostd_calls(fake, NULL), 2);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gc_asks_about_everything_once_in_as_many_parts_as_it_takes),
		cmocka_unit_test(gc_refuses_what_is_no_attachment_and_a_hostd_that_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
