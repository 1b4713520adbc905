// SPDX-License-Identifier: BSD-3-Clause
//
// What differs between the DPDK releases the driver builds with, 22.11 to 24.11.

#pragma once

#include <pthread.h>
#include <signal.h>

#include <ethdev_driver.h>
#include <rte_flow.h>
#include <rte_lcore.h>
#include <rte_telemetry.h>
#include <rte_thread.h>
#include <rte_version.h>

// An address in an IPv6 header, in an initializer.
#if RTE_VERSION < RTE_VERSION_NUM(24, 11, 0, 0)
#define IPV6(...)                                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#else
#define IPV6(...)                                                                                  \
	{                                                                                          \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#endif

// A thread outside of the lcores, on the CPUs that EAL leaves to such threads, and out of the way of the
// application's signals. Its function starts with control_thread_begin().
#if RTE_VERSION < RTE_VERSION_NUM(23, 11, 0, 0)
typedef void *control_thread_result;
#define CONTROL_THREAD_END NULL
#else
typedef uint32_t control_thread_result;
#define CONTROL_THREAD_END 0
#endif

static inline void control_thread_begin(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

// 0 or a negative errno. name: at most 15 characters.
static inline int control_thread_create(pthread_t *ret_thread, const char *name,
					control_thread_result (*main)(void *), void *argument)
{
#if RTE_VERSION < RTE_VERSION_NUM(23, 11, 0, 0)
	return rte_ctrl_thread_create(ret_thread, name, NULL, main, argument);
#else
	rte_thread_t thread;
	int error = rte_thread_create_control(&thread, name, main, argument);

	*ret_thread = (pthread_t)thread.opaque_id;
	return -error;
#endif
}

// The representors that device arguments ask for. 0, or -1.
static inline int representors_parse(const char *arguments, struct rte_eth_devargs *ret_wanted)
{
#if RTE_VERSION < RTE_VERSION_NUM(24, 3, 0, 0)
	return rte_eth_devargs_parse(arguments, ret_wanted);
#else
	// 1: arguments with representor=; 0: without; more than one representor= is refused.
	return rte_eth_devargs_parse(arguments, ret_wanted, 1) < 0 ? -1 : 0;
#endif
}

// A template table's rules are told apart by their patterns, not by an index.
static inline bool flow_table_inserts_by_pattern(const struct rte_flow_template_table_attr *attr)
{
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
	return true;
#else
	return attr->insertion_type == RTE_FLOW_TABLE_INSERTION_TYPE_PATTERN;
#endif
}

// There are items for ICMPv6 echo requests and replies.
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define HAS_ICMP6_ECHO_ITEMS 0
#else
#define HAS_ICMP6_ECHO_ITEMS 1
#endif

// MODIFY_FIELD: which tag.
#if RTE_VERSION < RTE_VERSION_NUM(23, 7, 0, 0)
static inline uint32_t modify_tag_index(const struct rte_flow_action_modify_data *data)
{
	return data->level;
}
#else
static inline uint32_t modify_tag_index(const struct rte_flow_field_data *data)
{
	return data->tag_index != 0 ? data->tag_index
				    : data->level; // as applications of before wrote it
}
#endif

#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif
