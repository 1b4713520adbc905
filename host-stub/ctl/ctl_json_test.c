// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl as a script runs it. The keys are an interface: programs read them. COMMAND --help documents
// them.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_harness.h"

static void the_json_of_pods_is_as_documented(void **state)
{
	start(one);
	assert_int_equal(run("pods --json"), 0);
	assert_json(output,
		    "{'pods':[{'namespace':'default','name':'web-0',"
		    "'uid':'6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978','network':'pod-network',"
		    "'container_id':'c0','ifname':'eth0','netns':'/var/run/netns/cni-1234',"
		    "'netns_inode':4026532208,'ipv4':'10.88.0.2','gateway_ipv4':'10.88.0.1',"
		    "'ipv6':'fd00:88::2','gateway_ipv6':'fd00:88::1','mac':'02:00:5e:10:20:30',"
		    "'gateway_mac':'02:00:5e:10:20:30','function':{'pf':1,'vf':7},'mtu':1500,"
		    "'link_group':42,'created_unix_ms':1795900000000,'offload':'partial',"
		    "'offload_reason':'table full','port_kind':'function','socket_path':'',"
		    "'bandwidth':{'ingress_rate_bps':50000000,'ingress_burst_bits':1000000,"
		    "'egress_rate_bps':20000000,'egress_burst_bits':0},'port_mappings':["
		    "{'protocol':'tcp','host_ip':null,'host_port':8080,'container_port':80},"
		    "{'protocol':'udp','host_ip':'192.0.2.1','host_port':8081,'container_port':80}]"
		    "}]}");
}

static void the_json_of_bandwidth_is_as_documented(void **state)
{
	static const char meter[] =
		"{'rate_bps':20000000,'burst_bits':4000000,'passed_packets':1000,"
		"'passed_bytes':1514000,'dropped_packets':10,'dropped_bytes':15140,'by':'nic'}";
	char expected[1024];

	start(one);
	assert_int_equal(run("bandwidth --json"), 0);
	snprintf(expected, sizeof(expected),
		 "{'bandwidth':[{'network':'pod-network','container_id':"
		 "'c0','ifname':'eth0','ingress':%s,'egress':%s}]}",
		 meter, meter);
	assert_json(output, expected);
	assert_int_equal(run("bandwidth"), 0);
	assert_has(output, "20 Mbit/s");
	assert_has(output, "ingress");
	assert_has(output, "nic");
}

static void the_json_of_network_is_as_documented(void **state)
{
	static const char network[] = "{'pod_network':{'ipv4':'10.88.0.0/24',"
				      "'gateway_ipv4':'10.88.0.1','ipv6':'fd00:88::/64',"
				      "'gateway_ipv6':'fd00:88::1','mtu':1500,"
				      "'router_mac':'02:00:5e:10:20:30'}}";
	struct fake_call call;

	start(NULL);
	assert_int_equal(run("network --json"), 0);
	assert_json(output, network);
	assert_int_equal(run("network set fd00:99::/64 10.99.0.0/20 --mtu 9000 --json"), 0);
	assert_json(output, network); // the sample
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.request.call, CALL_SET_POD_NETWORK);
	assert_true(call.request.body.set_pod_network.has_ipv4);
	assert_int_equal(call.request.body.set_pod_network.ipv4_prefix_length, 20);
	assert_int_equal(call.request.body.set_pod_network.ipv6_prefix_length, 64);
	assert_int_equal(call.request.body.set_pod_network.mtu, 9000);
	assert_int_equal(run("network set 10.99.0.0/20"), 0);
	assert_has(output, "10.88.0.0/24, gateway 10.88.0.1");
	fake_hostd_calls(fake, &call);
	assert_false(call.request.body.set_pod_network.has_ipv6);
}

static void what_is_no_network_is_wrong_usage(void **state)
{
	static const char *const wrong[] = {
		"network set",
		"network get",
		"network --mtu 1500",
		"network set 10.99.0.0",
		"network set 10.99.0.0/x",
		"network set 10.99.0.0/20 10.98.0.0/20",
		"network set 10.99.0.0/20 --mtu 100",
		"status --mtu 1500",
		"reconcile now",
	};

	start(NULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (run(wrong[i]) != 2)
			fail_msg("%s: %s", wrong[i], output);
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
}

static void the_json_of_reconcile_is_as_documented(void **state)
{
	start(NULL);
	assert_int_equal(run("reconcile --json"), 0);
	assert_json(output, "{'attachments':12,'suspects':4,'reclaimed':5,'without_port':1,"
			    "'leaving':2,'queued_deletes':7,'strays':6,'rules_missing':3}");
	assert_int_equal(run("reconcile"), 0);
	assert_has(output, "    12  attachments of this host\n");
}

static void the_json_of_ports_is_as_documented(void **state)
{
	start(one);
	// The three drops of the sample have one name; JSON keeps one of them.
	assert_int_equal(run("ports --json"), 0);
	assert_json(output,
		    "{'ports':[{'slot':0,'kind':'function','name':'net_simnic0_representor_3',"
		    "'function':{'pf':1,'vf':7},'attachment':{'network':'pod-network',"
		    "'container_id':'c0','ifname':'eth0','pod':'default/web-0'},'link_up':true,"
		    "'mtu':1500,'mac':'02:00:5e:10:20:30','rx_packets':1000,'rx_bytes':64000,"
		    "'tx_packets':2000,'tx_bytes':128000,'offloaded_rx_packets':900,"
		    "'offloaded_rx_bytes':57600,'offloaded_tx_packets':1500,"
		    "'offloaded_tx_bytes':96000,'dropped_packets':15,"
		    "'drops':{'ipv4-source':5},'tx_full_packets':7,'queue_pairs':2}]}");
}

static void the_json_of_ipam_is_as_documented(void **state)
{
	start(NULL);
	assert_int_equal(run("--json ipam"), 0);
	assert_json(output, "{'ipv4':{'prefix':'10.88.0.0/24','gateway':'10.88.0.1','total':253,"
			    "'allocated':11,'never_used':200,'released':42,'next':'10.88.0.9'},"
			    "'ipv6':{'prefix':'fd00:88::/64','gateway':'fd00:88::1','total':253,"
			    "'allocated':11,'never_used':200,'released':42,'next':'fd00:88::9'}}");
}

#define SUMMARY                                                                                    \
	"'enabled':true,'usable':true,'why_not':'the NIC cannot match ethernet',"                  \
	"'api':'asynchronous','rules':74,'rules_missing':2,'missing_reason':'table full',"         \
	"'pods_full':11,'pods_partial':1,'pods_none':3,'inserted':80,'removed':6,'failed':4"

static void the_json_of_offload_is_as_documented(void **state)
{
	start(one);
	assert_int_equal(run("offload --json"), 0);
	assert_json(output, "{" SUMMARY ",'capabilities':[{'name':'decrement TTL',"
			    "'supported':true,'needed':true,'remark':'by MODIFY_FIELD'}]}");
}

#define RULE_OF_WEB                                                                                \
	"{'id':1000,'attachment':{'network':'pod-network','container_id':'c0','ifname':'eth0',"    \
	"'pod':'default/web-0'},'function':{'pf':1,'vf':7},'host':false,'group':2,'priority':1,"   \
	"'match':'from pf0vf7 ipv4 src 10.88.0.2','actions':'count, jump 3','packets':1500,"       \
	"'bytes':126000,'age_ms':61000}"

static void the_json_of_flows_is_as_documented(void **state)
{
	start(two_rules);
	assert_int_equal(run("flows --json"), 0);
	assert_json(output, "{'flows':[" RULE_OF_WEB
			    ",{'id':1001,'attachment':null,'function':null,'host':false,'group':2,"
			    "'priority':1,'match':'from pf0vf7 ipv4 src 10.88.0.2',"
			    "'actions':'count, jump 3','packets':null,'bytes':null,"
			    "'age_ms':61000}]}");
	assert_int_equal(run("flows default/web-0 --json"), 0);
	assert_json(output, "{'flows':[" RULE_OF_WEB "]}");
	start(rule_of_host);
	assert_int_equal(run("flows --json"), 0);
	assert_has(output, "\"host\": true");
	assert_int_equal(run("flows --json nobody"), 1);
	assert_has(output, "\"name\": \"not-found\"");
	assert_has(output, "no pod is called 'nobody'");
}

static void the_json_of_connections_is_as_documented(void **state)
{
#define REST                                                                                       \
	"'answered':true,'offloaded':true,'expires_s':299,'packets_sent':10,'bytes_sent':1000,'"   \
	"packets_received':"                                                                       \
	"20,'bytes_received':2000}"
#define TCP4(KIND)                                                                                 \
	"{'pod':null,'protocol':'tcp','kind':'" KIND "',"                                          \
	"'from':{'address':'10.10.10.10','port':4000},"                                            \
	"'seen_as':{'address':'12.12.12.12','port':50000},"                                        \
	"'to':{'address':'11.11.11.11','port':443},'state':'ESTABLISHED'," REST
	start(NULL);
	assert_int_equal(run("connections --json"), 0);
	assert_json(
		output,
		"{'connections':[" TCP4(
			"masqueraded") ",{'pod':null,'protocol':'udp','kind':'published',"
				       "'from':{'address':'a0a:a0a:a0a:a0a:a0a:a0a:a0a:a0a','"
				       "port':4000},"
				       "'seen_as':{'address':'c0c:c0c:c0c:c0c:c0c:c0c:c0c:c0c',"
				       "'port':50000},"
				       "'to':{'address':'b0b:b0b:b0b:b0b:b0b:b0b:b0b:b0b','"
				       "port':443},'state':''," REST
				       "," TCP4("within") "],'total':3,'most':1000,'refused_"
							  "full':4,'refused_ports':5,"
							  "'offload':{'carried':2,'most':500,'"
							  "refused_full':6,'refused_nic':7,"
							  "'why_not':'the uplink is on VLAN 7'}}");
	assert_int_equal(run("connections"), 0);
	assert_has(output, "SEEN-AS");
	assert_has(output, "12.12.12.12:50000");
	assert_has(output, "[b0b:b0b:b0b:b0b:b0b:b0b:b0b:b0b]:443");
	assert_has(output, "3 of 1000 connections; refused: 4 for want of room, 5 of a port");
	assert_has(output, "the e-switch carries none: the uplink is on VLAN 7");
	assert_int_equal(run("connections nobody"), 1);
	assert_has(output, "no pod is called 'nobody'");
#undef TCP4
#undef REST
}

static void the_json_of_nat_is_as_documented(void **state)
{
#define COUNTS                                                                                     \
	"'connections':7,'opened':12,'packets_in':10,'bytes_in':1000,'packets_out':20,"            \
	"'bytes_out':2000}"
	start(NULL);
	assert_int_equal(run("nat --json"), 0);
	assert_json(output,
		    "{'published':[{'pod':null,'protocol':'tcp','family':4,"
		    "'host':{'address':'12.12.12.12','port':8080},"
		    "'container':{'address':'10.10.10.10','port':80}," COUNTS
		    ",{'pod':null,'protocol':'udp','family':6,"
		    "'host':{'address':'c0c:c0c:c0c:c0c:c0c:c0c:c0c:c0c','port':8080},"
		    "'container':{'address':'a0a:a0a:a0a:a0a:a0a:a0a:a0a:a0a','port':80}," COUNTS
		    ",{'pod':null,'protocol':'tcp','family':4,"
		    "'host':{'address':null,'port':8080},"
		    "'container':{'address':'10.10.10.10','port':80}," COUNTS
		    "],'masquerade':{'address_ipv4':'192.0.2.10','address_ipv6':'2001:db8::10',"
		    "'ipv4':true,'ipv6':false,'exclude':['198.51.100.0/24','198.51.100.0/24'],"
		    "'first_port':32768,'last_port':65535,"
		    "'first_identifier':1,'last_identifier':65535,"
		    "'ports':[{'protocol':'tcp','family':4,'size':32768,'used':100,'published':2,"
		    "'available':32666}],'connections':3,'most':1000,'refused_full':4,"
		    "'refused_ports':5}}");
	assert_int_equal(run("nat"), 0);
	assert_has(output, "12.12.12.12:8080");
	assert_has(output, "none:8080");
	assert_has(output, "[a0a:a0a:a0a:a0a:a0a:a0a:a0a:a0a]:80");
	assert_has(output, "pods are masqueraded as 192.0.2.10, but not towards 198.51.100.0/24, ");
	assert_has(output, "100 of 32768 ports used, 32666 available");
	assert_int_equal(run("nat nobody"), 1);
	assert_has(output, "no pod is called 'nobody'");
}

static void the_json_of_neighbours_is_as_documented(void **state)
{
	start(NULL);
	assert_int_equal(run("neighbours --json"), 0);
	assert_json(output, "{'neighbours':[{'address':'192.0.2.1','mac':'02:00:5e:10:20:30',"
			    "'state':'reachable','port':'uplink','age_ms':1234},"
			    "{'address':'2001:db8::1','mac':null,'state':'reachable',"
			    "'port':'uplink','age_ms':1234},"
			    "{'address':'192.0.2.1','mac':'02:00:5e:10:20:30',"
			    "'state':'reachable','port':'uplink','age_ms':1234}]}");
	assert_int_equal(run("neighbours"), 0);
	assert_has(output, "ADDRESS");
	assert_has(output, "2001:db8::1");
	assert_has(output, "02:00:5e:10:20:30");
}

static void the_json_of_status_is_as_documented(void **state)
{
	start(well);
	assert_int_equal(run("status --json"), 0);
	assert_json(output,
		    "{'ready':true,'reason':'','host':{'version':'0.1.0',"
		    "'agent_url':'ipc:///run/podport/agent.sock','link_up':true,"
		    "'link_changed_ms_ago':12345,'link_error':'','queued_deletes':2,"
		    "'calls_in_flight':1,'host_port':'podport0','host_port_ready':true,"
		    "'host_port_error':''},'agent':{'version':'0.1.0','instance_id':'3f2504e0',"
		    "'uptime_ms':777,'ready':true,'not_ready_reason':'','notice':'',"
		    "'nic_device':'net_simnic0,card=/run/podport/card.sock',"
		    "'nic_driver':'net_simnic','functions':256,'functions_used':12,"
		    "'attachments':12,'workers':2,'pod_network':{'ipv4':'10.88.0.0/24',"
		    "'gateway_ipv4':'10.88.0.1','ipv6':'fd00:88::/64','gateway_ipv6':'fd00:88::1',"
		    "'router_mac':'02:00:5e:10:20:30','mtu':1500},'ipv4_free':241,"
		    "'ipv6_free':65000,'offload':{" SUMMARY "},'uplink_error':'',"
		    "'uplink':{'ipv4':'192.0.2.10/24','ipv6':'2001:db8::10/64','vlan':42,"
		    "'mtu':1500,'mac':'02:00:5e:10:20:30','link_up':true,'routes':3,"
		    "'neighbours':2},'vhost_ports':64,'vhost_ports_used':2,'virtio_ports':16,"
		    "'virtio_ports_used':1,'virtio_error':''}}");

	start(agent_away);
	assert_int_equal(run("status --json"), 1);
	assert_json(output,
		    "{'ready':false,'reason':'the agent does not answer','host':{'version':'0.1.0',"
		    "'agent_url':'ipc:///run/podport/agent.sock','link_up':false,"
		    "'link_changed_ms_ago':12345,'link_error':'connection refused',"
		    "'queued_deletes':2,'calls_in_flight':1,'host_port':'podport0',"
		    "'host_port_ready':false,'host_port_error':''},'agent':null}");
}

static void an_error_is_json_for_a_program(void **state)
{
	start(agent_away);
	assert_int_equal(run("pods --json"), 1);
	assert_json(output, "{'error':{'code':4,'name':'agent-away',"
			    "'message':'the agent has not answered for 5 s'}}");
	assert_int_equal(run("pods"), 1);
	assert_string_equal(output, "podportctl: the agent has not answered for 5 s\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(the_json_of_pods_is_as_documented),
		TEST(the_json_of_network_is_as_documented),
		TEST(what_is_no_network_is_wrong_usage),
		TEST(the_json_of_reconcile_is_as_documented),
		TEST(the_json_of_ports_is_as_documented),
		TEST(the_json_of_ipam_is_as_documented),
		TEST(the_json_of_offload_is_as_documented),
		TEST(the_json_of_flows_is_as_documented),
		TEST(the_json_of_bandwidth_is_as_documented),
		TEST(the_json_of_neighbours_is_as_documented),
		TEST(the_json_of_connections_is_as_documented),
		TEST(the_json_of_nat_is_as_documented),
		TEST(the_json_of_status_is_as_documented),
		TEST(an_error_is_json_for_a_program),
	};

	return run_ctl_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
