// SPDX-License-Identifier: BSD-3-Clause
//
// Network configurations, good and bad. In the tables ' stands for ", for the reader's sake.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cni/netconf.h"

static char buffer[8192];

static const char *quoted(const char *text)
{
	size_t i;

	assert_true(strlen(text) < sizeof(buffer));
	for (i = 0; text[i] != '\0'; i++)
		buffer[i] = text[i] == '\'' ? '"' : text[i];
	buffer[i] = '\0';
	return buffer;
}

static int parse(const char *text, enum cni_command command, struct netconf *netconf,
		 struct cni_error *error)
{
	const char *json = quoted(text);

	return netconf_parse(json, strlen(json), command, netconf, error);
}

// The configuration with one more member.
static const char *with(const char *member)
{
	static char text[4096];

	snprintf(text, sizeof(text), "{'cniVersion':'1.1.0','name':'n',%s}", member);
	return text;
}

static void refused(const char *text, enum cni_command command, unsigned int code,
		    const char *named)
{
	struct netconf netconf;
	struct cni_error error;

	if (parse(text, command, &netconf, &error) == 0)
		fail_msg("accepted: %s", text);
	netconf_clear(&netconf);
	if (error.code != code)
		fail_msg("%s: code %u (%s), not %u", text, error.code, error.message, code);
	if (strncmp(error.message, named, strlen(named)) != 0)
		fail_msg("%s: '%s' does not begin with '%s'", text, error.message, named);
}

static void accepted(const char *text, enum cni_command command)
{
	struct netconf netconf;
	struct cni_error error;

	if (parse(text, command, &netconf, &error) < 0)
		fail_msg("%s: %s", text, error.message);
	netconf_clear(&netconf);
}

// ---- bad -----------------------------------------------------------------------------------------

static void what_is_no_json_is_pointed_at(void **state)
{
	refused("", CNI_COMMAND_ADD, 6, "the network configuration is no JSON: line 1");
	refused("{", CNI_COMMAND_ADD, 6, "the network configuration is no JSON: line 1");
	refused("[]", CNI_COMMAND_ADD, 6, "the network configuration is no JSON object");
	refused("{'cniVersion':'1.0.0',\n\n  'name':n}", CNI_COMMAND_DEL, 6,
		"the network configuration is no JSON: line 3, column 10");
	refused("{'cniVersion':'1.0.0','name':'n'} x", CNI_COMMAND_ADD, 6,
		"the network configuration is no JSON: line 1");
	refused("{'name':'\xff'}", CNI_COMMAND_ADD, 6, "the network configuration is no JSON");
}

static void versions_that_are_not_ours_are_refused(void **state)
{
	refused("{'name':'n'}", CNI_COMMAND_ADD, 1, "cniVersion: not set");
	refused("{'cniVersion':null,'name':'n'}", CNI_COMMAND_ADD, 1, "cniVersion: not set");
	refused("{'cniVersion':'','name':'n'}", CNI_COMMAND_ADD, 1, "cniVersion: ''");
	refused("{'cniVersion':'0.2.0','name':'n'}", CNI_COMMAND_ADD, 1, "cniVersion: '0.2.0'");
	refused("{'cniVersion':'0.3.2','name':'n'}", CNI_COMMAND_DEL, 1, "cniVersion: '0.3.2'");
	refused("{'cniVersion':'0.3.0','name':'n'}", CNI_COMMAND_CHECK, 1,
		"cniVersion: '0.3.0' has no command CHECK; 0.4.0 has");
	refused("{'cniVersion':'0.3.1','name':'n'}", CNI_COMMAND_CHECK, 1,
		"cniVersion: '0.3.1' has no command CHECK; 0.4.0 has");
	refused("{'cniVersion':'0.3.1','name':'n'}", CNI_COMMAND_GC, 1, "cniVersion: '0.3.1'");
	refused("{'cniVersion':'0.3.0','name':'n'}", CNI_COMMAND_STATUS, 1, "cniVersion: '0.3.0'");
	refused("{'cniVersion':'9.0.0','name':'n'}", CNI_COMMAND_ADD, 1, "cniVersion: '9.0.0'");
	refused("{'cniVersion':1,'name':'n'}", CNI_COMMAND_ADD, 7, "cniVersion: is a whole number");
	refused("{'cniVersion':'1.0.0','name':'n'}", CNI_COMMAND_STATUS, 1, "cniVersion: '1.0.0'");
	refused("{'cniVersion':'0.4.0','name':'n'}", CNI_COMMAND_GC, 1, "cniVersion: '0.4.0'");
}

static void an_error_is_told_in_the_version_that_was_asked_in(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	assert_int_equal(parse("{'cniVersion':'0.4.0'}", CNI_COMMAND_ADD, &netconf, &error), -1);
	assert_int_equal(netconf.version, CNI_0_4_0);
	netconf_clear(&netconf);
	assert_int_equal(parse("{'cniVersion':'7'}", CNI_COMMAND_ADD, &netconf, &error), -1);
	assert_int_equal(netconf.version, CNI_1_1_0);
	netconf_clear(&netconf);
}

static void every_key_of_a_wrong_type_is_named_in_full(void **state)
{
	static const struct {
		const char *member, *named;
	} cases[] = {
		{"'socket':5", "socket: is a whole number, must be a string"},
		{"'socket':'relative'", "socket: 'relative'"},
		{"'socket':''", "socket: ''"},
		{"'portKind':7", "portKind: is a whole number, must be a string"},
		{"'portKind':'vhost'",
		 "portKind: 'vhost' is none of function, vhost-user, virtio-user"},
		{"'args':{'cni':{'portKind':'x'}}", "args.cni.portKind: 'x' is none of"},
		{"'mtu':'big'", "mtu: is a string, must be a whole number"},
		{"'mtu':1500.0", "mtu: is a fraction"},
		{"'mtu':true", "mtu: is a truth value"},
		{"'mtu':0", "mtu: 0 is not in 1280..9000"},
		{"'mtu':1279", "mtu: 1279"},
		{"'mtu':9001", "mtu: 9001"},
		{"'mtu':-1", "mtu: -1"},
		{"'mtu':4294968796", "mtu: 4294968796"}, // 1500 in 32 bits
		{"'timeout_ms':'1s'", "timeout_ms: is a string"},
		{"'timeout_ms':0", "timeout_ms: 0"},
		{"'timeout_ms':600001", "timeout_ms: 600001"},
		{"'dns':[]", "dns: is a list, must be an object"},
		{"'dns':{'nameservers':'8.8.8.8'}", "dns.nameservers: is a string"},
		{"'dns':{'nameservers':['8.8.8.8',8]}", "dns.nameservers[1]: is a whole number"},
		{"'dns':{'domain':['x']}", "dns.domain: is a list"},
		{"'dns':{'search':{}}", "dns.search: is an object"},
		{"'dns':{'options':[null]}", "dns.options[0]: is null"},
		{"'ipam':'host-local'", "ipam: is a string"},
		{"'args':'x'", "args: is a string"},
		{"'args':{'cni':[]}", "args.cni: is a list"},
		{"'args':{'cni':{'ips':'10.0.0.1'}}", "args.cni.ips: is a string"},
		{"'args':{'cni':{'ips':[7]}}", "args.cni.ips[0]: is a whole number"},
		{"'args':{'cni':{'ips':['300.1.1.1']}}", "args.cni.ips[0]: '300.1.1.1'"},
		{"'args':{'cni':{'mac':7}}", "args.cni.mac: is a whole number"},
		{"'args':{'cni':{'mac':'zz'}}", "args.cni.mac: 'zz'"},
		{"'runtimeConfig':[]", "runtimeConfig: is a list"},
		{"'runtimeConfig':{'ips':{}}", "runtimeConfig.ips: is an object"},
		{"'runtimeConfig':{'bandwidth':7}", "runtimeConfig.bandwidth: is a whole number"},
		{"'runtimeConfig':{'bandwidth':{'ingressRate':'1M'}}",
		 "runtimeConfig.bandwidth.ingressRate: is a string"},
		{"'runtimeConfig':{'bandwidth':{'EgressRate':999}}",
		 "runtimeConfig.bandwidth.egressRate: 999 is not in 1000..1000000000000000"},
		{"'runtimeConfig':{'bandwidth':{'egressRate':-1}}",
		 "runtimeConfig.bandwidth.egressRate: -1 is not in"},
		{"'runtimeConfig':{'bandwidth':{'egressRate':1000,'egressBurst':34359738361}}",
		 "runtimeConfig.bandwidth.egressBurst: 34359738361 is not in 1..34359738360"},
		{"'runtimeConfig':{'portMappings':{}}", "runtimeConfig.portMappings: is an object"},
		{"'runtimeConfig':{'portMappings':[7]}",
		 "runtimeConfig.portMappings[0]: is a whole number"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':80}]}",
		 "runtimeConfig.portMappings[0].containerPort: missing"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':80,'containerPort':0}]}",
		 "runtimeConfig.portMappings[0].containerPort: 0 is not in 1..65535"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':65536,'containerPort':80}]}",
		 "runtimeConfig.portMappings[0].hostPort: 65536 is not in 0..65535"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':-1,'containerPort':80}]}",
		 "runtimeConfig.portMappings[0].hostPort: -1"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':80,'containerPort':80,"
		 "'hostIP':'localhost'}]}",
		 "runtimeConfig.portMappings[0].hostIP: 'localhost' is no IPv4 or IPv6 address"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':80,'containerPort':80,"
		 "'protocol':'icmp'}]}",
		 "runtimeConfig.portMappings[0].protocol: 'icmp' is none of tcp, udp, sctp"},
		{"'runtimeConfig':{'portMappings':[{'hostPort':80,'containerPort':80},"
		 "{'hostPort':80,'containerPort':81,'protocol':'TCP'}]}",
		 "runtimeConfig.portMappings[1].host_port: 80 is given twice"},
		{"'runtimeConfig':{'ips':['10.0.0.1/24','10.0.0.2/24']}",
		 "runtimeConfig.ips[1]: '10.0.0.2/24' is a second IPv4"},
		{"'runtimeConfig':{'ips':['fd00::1','fd00::2']}",
		 "runtimeConfig.ips[1]: 'fd00::2' is a second IPv6"},
		{"'runtimeConfig':{'ips':['10.0.0.1/33']}", "runtimeConfig.ips[0]: '10.0.0.1/33'"},
		{"'runtimeConfig':{'mac':'01:00:5e:00:00:01'}", "runtimeConfig.mac: "},
		{"'prevResult':[]", "prevResult: is a list"},
		{"'prevResult':{'interfaces':{}}", "prevResult.interfaces: is an object"},
		{"'prevResult':{'interfaces':[7]}", "prevResult.interfaces[0]: is a whole number"},
		{"'prevResult':{'interfaces':[{}]}", "prevResult.interfaces[0].name: missing"},
		{"'prevResult':{'interfaces':[{'name':7}]}", "prevResult.interfaces[0].name: is a"},
		{"'prevResult':{'interfaces':[{'name':'a','mac':7}]}",
		 "prevResult.interfaces[0].mac: is a"},
		{"'prevResult':{'interfaces':[{'name':'a','sandbox':[]}]}",
		 "prevResult.interfaces[0].sandbox: is a list"},
		{"'prevResult':{'interfaces':[{'name':'a','mtu':'x'}]}",
		 "prevResult.interfaces[0].mtu: is a string"},
		{"'prevResult':{'ips':7}", "prevResult.ips: is a whole number"},
		{"'prevResult':{'ips':[{}]}", "prevResult.ips[0].address: missing"},
		{"'prevResult':{'ips':[{'address':'x'}]}", "prevResult.ips[0].address: 'x'"},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/99'}]}", "prevResult.ips[0].address: "},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/8','gateway':'x'}]}",
		 "prevResult.ips[0].gateway: 'x'"},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/8','gateway':'10.0.0.2/8'}]}",
		 "prevResult.ips[0].gateway: '10.0.0.2/8'"},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/8','version':'6'}]}",
		 "prevResult.ips[0].version: '6'"},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/8','version':4}]}",
		 "prevResult.ips[0].version: is a whole number"},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/8','interface':'0'}]}",
		 "prevResult.ips[0].interface: is a string"},
		// An index that equals the count made go-cni panic.
		{"'prevResult':{'interfaces':[{'name':'a'}],"
		 "'ips':[{'address':'10.0.0.1/8','interface':1}]}",
		 "prevResult.ips[0].interface: 1 is no index"},
		{"'prevResult':{'ips':[{'address':'10.0.0.1/8','interface':-1}]}",
		 "prevResult.ips[0].interface: -1"},
		{"'prevResult':{'routes':{}}", "prevResult.routes: is an object"},
		{"'prevResult':{'routes':[{}]}", "prevResult.routes[0].dst: missing"},
		{"'prevResult':{'routes':['x']}", "prevResult.routes[0]: is a string"},
		{"'prevResult':{'dns':'x'}", "prevResult.dns: is a string"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(with(cases[i].member), CNI_COMMAND_ADD, 7, cases[i].named);
	refused("{'cniVersion':'1.0.0'}", CNI_COMMAND_ADD, 7, "name: missing");
	refused("{'cniVersion':'1.0.0','name':null}", CNI_COMMAND_ADD, 7, "name: missing");
	refused("{'cniVersion':'1.0.0','name':7}", CNI_COMMAND_DEL, 7, "name: is a whole number");
	refused("{'cniVersion':'1.0.0','name':'../x'}", CNI_COMMAND_DEL, 7, "name: ");
	refused("{'cniVersion':'1.0.0','name':'a\\u0000b'}", CNI_COMMAND_ADD, 6,
		"the network configuration is no JSON");
	refused("{'cniVersion':'1.0.0','name':'a\\nb'}", CNI_COMMAND_ADD, 7, "name: ");
}

static void what_podport_cannot_do_is_refused_with_key_and_value(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	refused(with("'ipam':{'type':'host-local'}"), CNI_COMMAND_ADD, 2, "ipam: ");
	refused(with("'runtimeConfig':{'deviceID':'0000:00:01.0'}"), CNI_COMMAND_ADD, 2,
		"runtimeConfig.deviceID: \"0000:00:01.0\"");
	refused(with("'runtimeConfig':{'ipRanges':[[{'subnet':'10.1.0.0/16'}]]}"), CNI_COMMAND_ADD,
		2, "runtimeConfig.ipRanges: [[{\"subnet\":\"10.1.0.0/16\"}]]");
	refused(with("'runtimeConfig':{'aliases':['web']}"), CNI_COMMAND_ADD, 2,
		"runtimeConfig.aliases: [\"web\"]");
	refused(with("'runtimeConfig':{'infinibandGUID':'c2:11:22:33:44:55:66:77'}"),
		CNI_COMMAND_ADD, 2, "runtimeConfig.infinibandGUID: ");
	// Of another type than it should be, but certainly not nothing.
	refused(with("'runtimeConfig':{'aliases':7}"), CNI_COMMAND_ADD, 2,
		"runtimeConfig.aliases: 7");
	refused(with("'runtimeConfig':{'portMappings':[{'hostPort':80,'containerPort':80,"
		     "'protocol':'SCTP'}]}"),
		CNI_COMMAND_ADD, 2,
		"runtimeConfig.portMappings[0].protocol: \"SCTP\": not supported");
	refused(with("'runtimeConfig':{'cgroupPath':7}"), CNI_COMMAND_ADD, 7,
		"runtimeConfig.cgroupPath: is a whole number");
	refused(with("'runtimeConfig':{'dns':{'Servers':'8.8.8.8'}}"), CNI_COMMAND_ADD, 7,
		"runtimeConfig.dns.servers: is a string");
	// Nothing is asked for.
	accepted(with("'ipam':{}"), CNI_COMMAND_ADD);
	accepted(with("'runtimeConfig':{'portMappings':[],'bandwidth':null}"), CNI_COMMAND_ADD);
	accepted(with("'runtimeConfig':{'portMappings':[{'HostPort':0,'ContainerPort':80}],"
		      "'bandwidth':{'IngressRate':0,'IngressBurst':4294967295,'EgressRate':0,"
		      "'EgressBurst':4294967295},'ipRanges':[[]],'aliases':[],'deviceID':'',"
		      "'infinibandGUID':'','ips':[],'mac':'','cgroupPath':'/kubepods/x',"
		      "'dns':{'Servers':null,'Searches':null,'Options':[]},"
		      "'io.kubernetes.cri.pod-annotations':{'a':'b'}}"),
		 CNI_COMMAND_ADD);
	accepted(with("'runtimeConfig':{'bandwidth':{}}"), CNI_COMMAND_ADD);
	// A DEL must not fail for it: the pod would never go.
	accepted(with("'ipam':{'type':'host-local'},'mtu':'x','args':7,'prevResult':[],'dns':1"),
		 CNI_COMMAND_DEL);
	// The message is JSON even if the value is long.
	char member[3000] = "'runtimeConfig':{'deviceID':'";
	memset(member + strlen(member), 'x', 2000);
	strcat(member, "'}");
	assert_int_equal(parse(with(member), CNI_COMMAND_ADD, &netconf, &error), -1);
	assert_non_null(strstr(error.message, "not supported"));
	netconf_clear(&netconf);
}

static void what_the_runtime_limits_and_maps_is_taken_as_it_writes_it(void **state)
{
	struct netconf netconf;
	struct cni_error error;
	const struct port_mapping *mappings = netconf.wishes.port_mappings.items;

	// As containerd writes it.
	assert_int_equal(
		parse(with("'runtimeConfig':{'bandwidth':{'IngressRate':5000000,"
			   "'IngressBurst':4294967295,'EgressRate':0,'EgressBurst':4294967295},"
			   "'portMappings':[{'HostPort':0,'ContainerPort':79},"
			   "{'HostPort':8080,'ContainerPort':80,'Protocol':'TCP','HostIP':''},"
			   "{'HostPort':8080,'ContainerPort':80,'Protocol':'udp',"
			   "'HostIP':'0.0.0.0'},"
			   "{'HostPort':8443,'ContainerPort':443,'HostIP':'2001:db8::7'}]}"),
		      CNI_COMMAND_ADD, &netconf, &error),
		0);
	assert_int_equal(netconf.wishes.bandwidth.ingress_rate_bps, 5000000);
	assert_int_equal(netconf.wishes.bandwidth.ingress_burst_bits, 4294967295);
	assert_int_equal(netconf.wishes.bandwidth.egress_rate_bps, 0);
	assert_int_equal(netconf.wishes.bandwidth.egress_burst_bits, 0);
	assert_int_equal(netconf.wishes.port_mappings.count, 3);
	assert_int_equal(mappings[0].host_port, 8080);
	assert_int_equal(mappings[0].container_port, 80);
	assert_int_equal(mappings[0].protocol, IPPROTO_TCP);
	assert_int_equal(mappings[0].host_family, 0);
	assert_int_equal(mappings[1].protocol, IPPROTO_UDP);
	assert_int_equal(mappings[1].host_family, 4);
	assert_int_equal(mappings[2].protocol, IPPROTO_TCP);
	assert_int_equal(mappings[2].host_family, 6);
	assert_int_equal(mappings[2].host_ip[15], 7);
	netconf_clear(&netconf);

	// As many as there may be, and one more.
	char member[4096] = "'runtimeConfig':{'portMappings':[";
	for (int i = 0; i <= LIMIT_PORT_MAPPINGS; i++) {
		snprintf(member + strlen(member), sizeof(member) - strlen(member),
			 "%s{'hostPort':%d,'containerPort':1}", i > 0 ? "," : "", 1000 + i);
		if (i < LIMIT_PORT_MAPPINGS - 1)
			continue;
		size_t length = strlen(member);
		strcat(member, "]}");
		if (i == LIMIT_PORT_MAPPINGS)
			refused(with(member), CNI_COMMAND_ADD, 7,
				"runtimeConfig.portMappings: more than 64");
		else
			accepted(with(member), CNI_COMMAND_ADD);
		member[length] = '\0';
	}
}

static void the_runtimes_dns_is_in_the_result_by_the_results_names(void **state)
{
	struct netconf netconf;
	struct cni_error error;
	char *text;

	if (parse(with("'dns':{'nameservers':['9.9.9.9'],'domain':'a','search':['b']},"
		       "'runtimeConfig':{'dns':{'Servers':['1.1.1.1'],'Searches':null,"
		       "'Options':['ndots:5']}}"),
		  CNI_COMMAND_ADD, &netconf, &error) < 0)
		fail_msg("%s", error.message);
	text = json_dumps(netconf.dns, JSON_COMPACT | JSON_SORT_KEYS);
	// What the runtime does not say stays the configuration's.
	assert_string_equal(text, "{\"domain\":\"a\",\"nameservers\":[\"1.1.1.1\"],"
				  "\"options\":[\"ndots:5\"],\"search\":[\"b\"]}");
	free(text);
	netconf_clear(&netconf);
	if (parse(with("'runtimeConfig':{'dns':{'servers':['1.1.1.1']}}"), CNI_COMMAND_ADD,
		  &netconf, &error) < 0)
		fail_msg("%s", error.message);
	text = json_dumps(netconf.dns, JSON_COMPACT);
	assert_string_equal(text, "{\"nameservers\":[\"1.1.1.1\"]}");
	free(text);
	netconf_clear(&netconf);
}

static void gc_is_told_what_is_valid_or_refuses(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	refused("{'cniVersion':'1.1.0','name':'n'}", CNI_COMMAND_GC, 7,
		"cni.dev/valid-attachments: missing");
	refused(with("'cni.dev/valid-attachments':{}"), CNI_COMMAND_GC, 7,
		"cni.dev/valid-attachments: is an object");
	refused(with("'cni.dev/attachments':[7]"), CNI_COMMAND_GC, 7,
		"cni.dev/attachments[0]: is a whole number");
	refused(with("'cni.dev/valid-attachments':[{'ifname':'eth0'}]"), CNI_COMMAND_GC, 7,
		"cni.dev/valid-attachments[0].containerID: missing");
	refused(with("'cni.dev/valid-attachments':[{'containerID':'a','ifname':7}]"),
		CNI_COMMAND_GC, 7, "cni.dev/valid-attachments[0].ifname: is a whole number");
	// As libcni writes it, with nothing valid, and with something; both keys are the same then.
	accepted(with("'cni.dev/valid-attachments':null,'cni.dev/attachments':null"),
		 CNI_COMMAND_GC);
	accepted(with("'cni.dev/valid-attachments':[]"), CNI_COMMAND_GC);
	if (parse(with("'cni.dev/valid-attachments':[{'containerID':'a','ifname':'eth0'},"
		       "{'containerID':'../not/ours','ifname':'x'},"
		       "{'containerID':'b','ifname':'net1'}],'cni.dev/attachments':[7],"
		       "'mtu':'not for GC'"),
		  CNI_COMMAND_GC, &netconf, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(netconf.valid.count, 2);
	assert_string_equal(netconf.valid.items[0].container_id, "a");
	assert_string_equal(netconf.valid.items[1].container_id, "b");
	assert_string_equal(netconf.valid.items[1].ifname, "net1");
	netconf_clear(&netconf);
}

static void check_needs_what_add_returned(void **state)
{
	refused("{'cniVersion':'1.0.0','name':'n'}", CNI_COMMAND_CHECK, 7, "prevResult: missing");
	accepted("{'cniVersion':'1.0.0','name':'n','prevResult':{'ips':[]}}", CNI_COMMAND_CHECK);
}

// ---- good ----------------------------------------------------------------------------------------

static void a_short_configuration_has_defaults(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	assert_int_equal(parse("{'cniVersion':'1.0.0','name':'pods','type':'podport-cni','x':[{}]}",
			       CNI_COMMAND_ADD, &netconf, &error),
			 0);
	assert_int_equal(netconf.version, CNI_1_0_0);
	assert_string_equal(netconf.name, "pods");
	assert_null(netconf.socket);
	assert_int_equal(netconf.timeout_ms, 0);
	assert_int_equal(netconf.mtu, 0);
	assert_null(netconf.dns);
	assert_null(netconf.prev_result);
	assert_false(netconf.wishes.has_ipv4 || netconf.wishes.has_ipv6 || netconf.wishes.has_mac);
	netconf_clear(&netconf);
}

static void every_key_is_taken(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	if (parse("{'cniVersion':'1.1.0','name':'n','socket':'/run/x.sock','mtu':9000,"
		  "'timeout_ms':1,'dns':{'nameservers':['8.8.8.8'],'domain':'a','search':['b'],"
		  "'options':['c']},'runtimeConfig':{'ips':['10.0.0.7/24','fd00::7'],"
		  "'mac':'02:00:00:00:00:07','dns':{'Servers':['1.1.1.1']},'cgroupPath':'/x'}}",
		  CNI_COMMAND_ADD, &netconf, &error) < 0)
		fail_msg("%s", error.message);
	assert_string_equal(netconf.socket, "/run/x.sock");
	assert_int_equal(netconf.mtu, 9000);
	assert_int_equal(netconf.timeout_ms, 1);
	assert_non_null(netconf.dns);
	assert_true(netconf.wishes.has_ipv4 && netconf.wishes.has_ipv6 && netconf.wishes.has_mac);
	assert_int_equal(netconf.wishes.ipv4.s_addr, inet_addr("10.0.0.7"));
	assert_memory_equal(netconf.wishes.mac.bytes, "\x02\x00\x00\x00\x00\x07", 6);
	netconf_clear(&netconf);
}

static void keys_are_found_whatever_their_case(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	if (parse("{'CNIVersion':'1.1.0','Name':'n','RuntimeConfig':{'IPs':['10.0.0.7'],"
		  "'Mac':'02:00:00:00:00:07'}}",
		  CNI_COMMAND_ADD, &netconf, &error) < 0)
		fail_msg("%s", error.message);
	assert_true(netconf.wishes.has_ipv4 && netconf.wishes.has_mac);
	netconf_clear(&netconf);
	// The exact one wins.
	assert_int_equal(parse("{'CNIVERSION':'0.1.0','cniVersion':'1.1.0','NAME':'x','name':'n'}",
			       CNI_COMMAND_ADD, &netconf, &error),
			 0);
	assert_string_equal(netconf.name, "n");
	netconf_clear(&netconf);
}

static void capabilities_are_stronger_than_args(void **state)
{
	struct netconf netconf;
	struct cni_error error;

	assert_int_equal(parse(with("'args':{'cni':{'ips':['10.0.0.1','fd00::1'],"
				    "'mac':'02:00:00:00:00:01'}},"
				    "'runtimeConfig':{'ips':['10.0.0.2']}"),
			       CNI_COMMAND_ADD, &netconf, &error),
			 0);
	// As a whole: an address of args next to one of the capability was not asked for.
	assert_int_equal(netconf.wishes.ipv4.s_addr, inet_addr("10.0.0.2"));
	assert_false(netconf.wishes.has_ipv6);
	assert_true(netconf.wishes.has_mac);
	netconf_clear(&netconf);
}

static void version_echoes_what_it_is_given(void **state)
{
	static const struct {
		const char *input, *version;
	} cases[] = {
		{"", "1.1.0"},
		{"{'cniVersion':'0.2.0'}", "0.2.0"},
		{"{'cniVersion':'1.0.0','name':7}", "1.0.0"},
		{"{}", "1.1.0"},
	};
	struct cni_error error;
	const char *version;
	json_t *root;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *json = quoted(cases[i].input);
		assert_int_equal(netconf_parse_version(json, strlen(json), &root, &version, &error),
				 0);
		assert_string_equal(version, cases[i].version);
		json_decref(root);
	}
	assert_int_equal(netconf_parse_version("x", 1, &root, &version, &error), -1);
	assert_int_equal(error.code, 6);
	assert_int_equal(netconf_parse_version("{\"cniVersion\":1}", 16, &root, &version, &error),
			 -1);
	assert_int_equal(error.code, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_json_is_pointed_at),
		cmocka_unit_test(versions_that_are_not_ours_are_refused),
		cmocka_unit_test(an_error_is_told_in_the_version_that_was_asked_in),
		cmocka_unit_test(every_key_of_a_wrong_type_is_named_in_full),
		cmocka_unit_test(what_podport_cannot_do_is_refused_with_key_and_value),
		cmocka_unit_test(what_the_runtime_limits_and_maps_is_taken_as_it_writes_it),
		cmocka_unit_test(the_runtimes_dns_is_in_the_result_by_the_results_names),
		cmocka_unit_test(gc_is_told_what_is_valid_or_refuses),
		cmocka_unit_test(check_needs_what_add_returned),
		cmocka_unit_test(a_short_configuration_has_defaults),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(keys_are_found_whatever_their_case),
		cmocka_unit_test(capabilities_are_stronger_than_args),
		cmocka_unit_test(version_echoes_what_it_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
