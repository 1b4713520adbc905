// SPDX-License-Identifier: BSD-3-Clause
//
// The one table from podport's codes to CNI's.

#include "cni/cni_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/text.h"

static const struct {
	unsigned int number;
	const char *prefix;  // before the sentence: what SPEC wants to be named
	const char *details; // what the reader can do
} table[CODE_COUNT] = {
	[CODE_INTERNAL] = {CNI_OWN_FIRST + CODE_INTERNAL, "",
			   "this is a bug in podport or an unusual system; see the logs of "
			   "podport-hostd and podport-agent"},
	// All that is checked here has been; what is left is what the pod network cannot give,
	// such as an address outside of it.
	[CODE_BAD_REQUEST] = {CNI_INVALID_CONFIG, "",
			      "see runtimeConfig.ips, runtimeConfig.mac, "
			      "runtimeConfig.portMappings, args.cni and mtu of the network "
			      "configuration"},
	[CODE_UNSUPPORTED] = {CNI_OWN_FIRST + CODE_UNSUPPORTED, "",
			      "an older podport-hostd or podport-agent may not know it; "
			      "'podportctl status' shows their versions"},
	[CODE_AGENT_AWAY] = {CNI_TRY_AGAIN_LATER, "",
			     "'podportctl status' shows the link to the agent"},
	[CODE_NOT_READY] = {CNI_TRY_AGAIN_LATER, "",
			    "'podportctl status' shows what the agent waits for"},
	[CODE_NOT_FOUND] = {CNI_UNKNOWN_CONTAINER, "", "'podportctl pods' lists what is attached"},
	[CODE_CONFLICT] = {CNI_OWN_FIRST + CODE_CONFLICT, "",
			   "DEL the container first; 'podportctl pods' lists what is attached, "
			   "'podportctl nat' which ports are mapped"},
	[CODE_NO_ADDRESS] = {CNI_OWN_FIRST + CODE_NO_ADDRESS, "",
			     "delete pods or give the node a larger pod network; 'podportctl ipam' "
			     "shows it"},
	[CODE_NO_FUNCTION] =
		{CNI_OWN_FIRST + CODE_NO_FUNCTION, "",
		 "delete pods or give the NIC more functions; 'podportctl ports' shows "
		 "them"},
	[CODE_STORE] = {CNI_OWN_FIRST + CODE_STORE, "",
			"see the disk of the state_dir that is named"},
	[CODE_NIC] = {CNI_OWN_FIRST + CODE_NIC, "", "see the log of podport-agent"},
	[CODE_NETNS] = {CNI_INVALID_ENVIRONMENT, "CNI_NETNS: ", ""},
	[CODE_WIRING] = {CNI_OWN_FIRST + CODE_WIRING, "",
			 "what was begun has been undone; see the log of podport-hostd"},
	[CODE_INTERFACE_EXISTS] = {CNI_OWN_FIRST + CODE_INTERFACE_EXISTS, "",
				   "use another CNI_IFNAME, or remove that interface"},
	[CODE_MISMATCH] = {CNI_OWN_FIRST + CODE_MISMATCH, "", "make the pod again"},
	[CODE_LATE] = {CNI_TRY_AGAIN_LATER, "",
		       "nothing was done; host and agent may be overloaded"},
	[CODE_PERMISSION] = {CNI_OWN_FIRST + CODE_PERMISSION, "",
			     "the runtime must run as a user in allowed_uids of podport-hostd"},
	[CODE_BUSY] = {CNI_TRY_AGAIN_LATER, "", ""},
	[CODE_HOSTD_AWAY] = {CNI_TRY_AGAIN_LATER, "", ""},
};

int cni_error_set(struct cni_error *error, enum cni_code code, const char *format, ...)
{
	char message[sizeof(error->message)];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	text_clean(message);
	*error = (struct cni_error){.code = code};
	strcpy(error->message, message);
	return -1;
}

void cni_error_add_details(struct cni_error *error, const char *format, ...)
{
	size_t length = strlen(error->details);
	va_list args;

	va_start(args, format);
	vsnprintf(error->details + length, sizeof(error->details) - length, format, args);
	va_end(args);
	text_clean(error->details);
}

int cni_error_from(struct cni_error *error, enum code code, const char *message)
{
	unsigned int index = (unsigned int)code < CODE_COUNT ? code : CODE_INTERNAL;

	cni_error_set(error, CNI_OK, "%s%s", table[index].prefix, message);
	error->code = cni_error_number(code);
	cni_error_add_details(error, "%s", table[index].details);
	return -1;
}

unsigned int cni_error_number(enum code code)
{
	// A newer hostd may know more codes; its sentence is still worth passing on.
	if ((unsigned int)code >= CODE_COUNT)
		return CNI_OWN_FIRST + CODE_INTERNAL;
	return table[code].number;
}

json_t *cni_error_json(const struct cni_error *error, const char *cni_version)
{
	json_t *json = json_pack("{s:s, s:i, s:s}", "cniVersion", cni_version, "code",
				 (int)error->code, "msg", error->message);

	if (json != NULL && error->details[0] != '\0' &&
	    json_object_set_new(json, "details", json_string(error->details)) < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
