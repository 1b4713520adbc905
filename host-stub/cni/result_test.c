// SPDX-License-Identifier: BSD-3-Clause
//
// Results in each version, what a chain adds to them, and what CHECK makes of them. In JSON here '
// stands for ", for the reader's sake.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cni/json_field.h"
#include "cni/result.h"

#define NETNS "/run/netns/blue"

static json_t *json_of(const char *text)
{
	char *copy = strdup(text);
	json_error_t error;

	for (char *c = copy; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	json_t *json = json_loads(copy, 0, &error);
	if (json == NULL)
		fail_msg("the test's JSON: %s: %s", error.text, text);
	free(copy);
	return json;
}

static struct podport_attachment some_attachment(void)
{
	struct podport_attachment attachment = {
		.key = {"pods", "c0ffee", "eth0"},
		.netns = NETNS,
		.has_ipv4 = true,
		.has_ipv6 = true,
		.mac = {2, 0, 0x5e, 0x10, 0, 7},
		.mtu = 1400,
		.port_kind = "function",
		.socket_path = "",
	};

	inet_pton(AF_INET, "10.88.0.7", &attachment.ipv4);
	inet_pton(AF_INET, "10.88.0.1", &attachment.gateway_ipv4);
	inet_pton(AF_INET6, "fd00:88::7", &attachment.ipv6);
	inet_pton(AF_INET6, "fd00:88::1", &attachment.gateway_ipv6);
	return attachment;
}

// The result for a configuration with `member` besides the usual.
static json_t *result_of(const char *version, const char *member,
			 const struct podport_attachment *attachment)
{
	struct netconf netconf;
	struct cni_error error;
	char text[4096], *json;

	snprintf(text, sizeof(text), "{'cniVersion':'%s','name':'pods'%s}", version, member);
	json_t *root = json_of(text);
	json = json_dumps(root, 0);
	if (netconf_parse(json, strlen(json), CNI_COMMAND_ADD, &netconf, &error) < 0)
		fail_msg("%s: %s", text, error.message);
	json_t *result = result_json(&netconf, NETNS, attachment);
	assert_non_null(result);
	netconf_clear(&netconf);
	free(json);
	json_decref(root);
	return result;
}

static void assert_json(json_t *json, const char *expected)
{
	json_t *want = json_of(expected);

	if (!json_equal(json, want)) {
		char *is = json_dumps(json, JSON_COMPACT), *wanted = json_dumps(want, JSON_COMPACT);
		fail_msg("is   %s\n  want %s", is, wanted);
	}
	json_decref(want);
	json_decref(json);
}

// ---- per version ---------------------------------------------------------------------------------

static void the_result_before_1_0_0_has_ip_versions(void **state)
{
	static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0"};
	const struct podport_attachment attachment = some_attachment();
	char expected[1024];

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		snprintf(expected, sizeof(expected),
			 "{'cniVersion':'%s',"
			 "'interfaces':[{'name':'eth0','mac':'02:00:5e:10:00:07',"
			 "               'sandbox':'/run/netns/blue'}],"
			 "'ips':[{'version':'4','address':'10.88.0.7/32','gateway':'10.88.0.1',"
			 "        'interface':0},"
			 "       {'version':'6','address':'fd00:88::7/128','gateway':'fd00:88::1',"
			 "        'interface':0}],"
			 "'routes':[{'dst':'0.0.0.0/0','gw':'10.88.0.1'},"
			 "          {'dst':'::/0','gw':'fd00:88::1'}]}",
			 versions[i]);
		assert_json(result_of(versions[i], "", &attachment), expected);
	}
}

static void the_result_of_1_0_0_has_none(void **state)
{
	const struct podport_attachment attachment = some_attachment();

	assert_json(result_of("1.0.0", "", &attachment),
		    "{'cniVersion':'1.0.0',"
		    "'interfaces':[{'name':'eth0','mac':'02:00:5e:10:00:07',"
		    "               'sandbox':'/run/netns/blue'}],"
		    "'ips':[{'address':'10.88.0.7/32','gateway':'10.88.0.1','interface':0},"
		    "       {'address':'fd00:88::7/128','gateway':'fd00:88::1','interface':0}],"
		    "'routes':[{'dst':'0.0.0.0/0','gw':'10.88.0.1'},"
		    "          {'dst':'::/0','gw':'fd00:88::1'}]}");
}

static void the_result_of_1_1_0_has_the_mtu(void **state)
{
	const struct podport_attachment attachment = some_attachment();

	assert_json(result_of("1.1.0", "", &attachment),
		    "{'cniVersion':'1.1.0',"
		    "'interfaces':[{'name':'eth0','mac':'02:00:5e:10:00:07','mtu':1400,"
		    "               'sandbox':'/run/netns/blue'}],"
		    "'ips':[{'address':'10.88.0.7/32','gateway':'10.88.0.1','interface':0},"
		    "       {'address':'fd00:88::7/128','gateway':'fd00:88::1','interface':0}],"
		    "'routes':[{'dst':'0.0.0.0/0','gw':'10.88.0.1'},"
		    "          {'dst':'::/0','gw':'fd00:88::1'}]}");
}

static void the_result_of_1_1_0_has_the_socket(void **state)
{
	struct podport_attachment attachment = some_attachment();
	json_t *result, *interface;

	attachment.socket_path = "/run/vhost/1.sock";
	result = result_of("1.1.0", "", &attachment);
	interface = json_array_get(json_object_get(result, "interfaces"), 0);
	assert_string_equal("/run/vhost/1.sock",
			    json_string_value(json_object_get(interface, "socketPath")));
	json_decref(result);
	// An earlier version has no word for it.
	result = result_of("1.0.0", "", &attachment);
	interface = json_array_get(json_object_get(result, "interfaces"), 0);
	assert_null(json_object_get(interface, "socketPath"));
	json_decref(result);
}

static void one_family_is_one_address_and_one_route(void **state)
{
	struct podport_attachment attachment = some_attachment();

	attachment.has_ipv4 = false;
	assert_json(result_of("1.0.0", "", &attachment),
		    "{'cniVersion':'1.0.0',"
		    "'interfaces':[{'name':'eth0','mac':'02:00:5e:10:00:07',"
		    "               'sandbox':'/run/netns/blue'}],"
		    "'ips':[{'address':'fd00:88::7/128','gateway':'fd00:88::1','interface':0}],"
		    "'routes':[{'dst':'::/0','gw':'fd00:88::1'}]}");
}

static void dns_is_that_of_the_configuration(void **state)
{
	const struct podport_attachment attachment = some_attachment();
	json_t *result = result_of("1.0.0", ",'dns':{'nameservers':['9.9.9.9'],'search':['a.b']}",
				   &attachment);

	assert_json(json_deep_copy(json_object_get(result, "dns")),
		    "{'nameservers':['9.9.9.9'],'search':['a.b']}");
	json_decref(result);
}

// ---- chains --------------------------------------------------------------------------------------

#define BEFORE_US                                                                                  \
	"{'cniVersion':'%s','interfaces':[{'name':'cni0','mac':'00:11:22:33:44:55'},"              \
	"{'name':'net1','mac':'00:11:22:33:44:66','sandbox':'/run/netns/blue','x':1}],"            \
	"'ips':[{'address':'192.0.2.7/24','gateway':'192.0.2.1','interface':1%s}],"                \
	"'routes':[{'dst':'198.51.100.0/24'}],'dns':{'domain':'before'}}"

static void what_a_plugin_before_us_made_stays(void **state)
{
	const struct podport_attachment attachment = some_attachment();
	char member[1024];

	snprintf(member, sizeof(member), ",'prevResult':" BEFORE_US, "1.0.0", "");
	assert_json(result_of("1.0.0", member, &attachment),
		    "{'cniVersion':'1.0.0',"
		    "'interfaces':[{'name':'cni0','mac':'00:11:22:33:44:55'},"
		    "  {'name':'net1','mac':'00:11:22:33:44:66','sandbox':'/run/netns/blue','x':1},"
		    "  {'name':'eth0','mac':'02:00:5e:10:00:07','sandbox':'/run/netns/blue'}],"
		    "'ips':[{'address':'192.0.2.7/24','gateway':'192.0.2.1','interface':1},"
		    "  {'address':'10.88.0.7/32','gateway':'10.88.0.1','interface':2},"
		    "  {'address':'fd00:88::7/128','gateway':'fd00:88::1','interface':2}],"
		    "'routes':[{'dst':'198.51.100.0/24'},{'dst':'0.0.0.0/0','gw':'10.88.0.1'},"
		    "  {'dst':'::/0','gw':'fd00:88::1'}],"
		    "'dns':{'domain':'before'}}");

	// The configuration's own dns is what the operator wrote.
	snprintf(member, sizeof(member), ",'dns':{'domain':'own'},'prevResult':" BEFORE_US, "1.0.0",
		 "");
	json_t *result = result_of("1.0.0", member, &attachment);
	assert_json(json_deep_copy(json_object_get(result, "dns")), "{'domain':'own'}");
	json_decref(result);
}

static void a_chain_speaks_one_version(void **state)
{
	const struct podport_attachment attachment = some_attachment();
	char member[1024];

	snprintf(member, sizeof(member), ",'prevResult':" BEFORE_US, "0.4.0", "");
	json_t *result = result_of("0.4.0", member, &attachment);
	assert_json(json_deep_copy(json_array_get(json_object_get(result, "ips"), 0)),
		    "{'address':'192.0.2.7/24','gateway':'192.0.2.1','interface':1,'version':'4'}");
	json_decref(result);
	snprintf(member, sizeof(member), ",'prevResult':" BEFORE_US, "1.1.0", ",'version':'4'");
	result = result_of("1.1.0", member, &attachment);
	assert_json(json_deep_copy(json_array_get(json_object_get(result, "ips"), 0)),
		    "{'address':'192.0.2.7/24','gateway':'192.0.2.1','interface':1}");
	json_decref(result);
}

// ---- CHECK ---------------------------------------------------------------------------------------

// prevResult against `attachment`, in sandbox `netns`; NULL: fine, else the message.
static const char *compare(json_t *prev_result, const char *netns,
			   const struct podport_attachment *attachment)
{
	static struct cni_error error;
	struct prev_result checked;
	int r;

	if (prev_result_parse(prev_result, &checked, &error) < 0)
		fail_msg("%s", error.message);
	r = prev_result_compare(&checked, netns, attachment, &error);
	prev_result_clear(&checked);
	json_decref(prev_result);
	if (r == 0)
		return NULL;
	assert_int_equal(error.code, CNI_OWN_FIRST + CODE_MISMATCH);
	return error.message;
}

static void what_add_printed_passes_check(void **state)
{
	static const char *const versions[] = {"0.4.0", "1.0.0", "1.1.0"};
	struct podport_attachment attachment = some_attachment();

	for (size_t i = 0; i < 3; i++) {
		assert_null(compare(result_of(versions[i], "", &attachment), NETNS, &attachment));
		attachment.has_ipv6 = false;
		assert_null(compare(result_of(versions[i], "", &attachment), NETNS, &attachment));
		attachment.has_ipv6 = true;
	}
}

static void another_name_of_the_sandbox_is_fine(void **state)
{
	const struct podport_attachment attachment = some_attachment();
	json_t *prev_result = result_of("1.0.0", "", &attachment);
	json_t *interface = json_array_get(json_object_get(prev_result, "interfaces"), 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", getpid());
	json_object_set_new(interface, "sandbox", json_string("/proc/self/ns/net"));
	assert_null(compare(prev_result, path, &attachment));
}

static void what_later_plugins_add_is_theirs(void **state)
{
	const struct podport_attachment attachment = some_attachment();
	char member[1024];
	json_t *prev_result;

	snprintf(member, sizeof(member), ",'prevResult':" BEFORE_US, "1.0.0", "");
	prev_result = result_of("1.0.0", member, &attachment);
	json_array_append_new(json_object_get(prev_result, "ips"),
			      json_of("{'address':'192.0.2.99/24','interface':2}"));
	json_array_append_new(json_object_get(prev_result, "routes"),
			      json_of("{'dst':'203.0.113.0/24','gw':'10.88.0.1'}"));
	json_array_append_new(json_object_get(prev_result, "interfaces"),
			      json_of("{'name':'ifb0','mac':'a0:00:02:20:fe:80:00:00'}"));
	assert_null(compare(prev_result, NETNS, &attachment));
}

static void what_differs_is_named(void **state)
{
	const struct podport_attachment as_added = some_attachment();
	struct podport_attachment attachment;
	const char *why;

	attachment = as_added;
	attachment.mac[5]++;
	why = compare(result_of("1.1.0", "", &as_added), NETNS, &attachment);
	assert_non_null(why);
	assert_non_null(strstr(why, "prevResult.interfaces[0].mac"));
	assert_non_null(strstr(why, "02:00:5e:10:00:08"));

	attachment = as_added;
	inet_pton(AF_INET, "10.88.0.8", &attachment.ipv4);
	why = compare(result_of("0.4.0", "", &as_added), NETNS, &attachment);
	assert_non_null(why);
	assert_non_null(strstr(why, "10.88.0.8"));

	attachment = as_added;
	inet_pton(AF_INET6, "fd00:88::8", &attachment.ipv6);
	why = compare(result_of("1.0.0", "", &as_added), NETNS, &attachment);
	assert_non_null(why);
	assert_non_null(strstr(why, "fd00:88::8"));

	attachment = as_added;
	attachment.key.ifname = "net7";
	why = compare(result_of("1.0.0", "", &as_added), NETNS, &attachment);
	assert_non_null(why);
	assert_non_null(strstr(why, "'net7'"));

	why = compare(result_of("1.0.0", "", &as_added), "/run/netns/red", &as_added);
	assert_non_null(why);
	assert_non_null(strstr(why, "/run/netns/red"));

	assert_non_null(compare(json_of("{}"), NETNS, &as_added));
	// An interface of that name on the host is none of the pod's.
	assert_non_null(compare(json_of("{'interfaces':[{'name':'eth0'}]}"), NETNS, &as_added));
	// Our address, but on another's interface.
	assert_non_null(compare(json_of("{'interfaces':[{'name':'x'},{'name':'eth0',"
					"'sandbox':'/run/netns/blue'}],"
					"'ips':[{'address':'10.88.0.7/32','interface':0},"
					"{'address':'fd00:88::7/128','interface':0}]}"),
				NETNS, &as_added));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_result_before_1_0_0_has_ip_versions),
		cmocka_unit_test(the_result_of_1_0_0_has_none),
		cmocka_unit_test(the_result_of_1_1_0_has_the_mtu),
		cmocka_unit_test(the_result_of_1_1_0_has_the_socket),
		cmocka_unit_test(one_family_is_one_address_and_one_route),
		cmocka_unit_test(dns_is_that_of_the_configuration),
		cmocka_unit_test(what_a_plugin_before_us_made_stays),
		cmocka_unit_test(a_chain_speaks_one_version),
		cmocka_unit_test(what_add_printed_passes_check),
		cmocka_unit_test(another_name_of_the_sandbox_is_fine),
		cmocka_unit_test(what_later_plugins_add_is_theirs),
		cmocka_unit_test(what_differs_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
