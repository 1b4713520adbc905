// SPDX-License-Identifier: BSD-3-Clause
//
// Values as people read them.

#include "ctl/format.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *put(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static const char *put(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text->text, sizeof(text->text), format, args);
	va_end(args);
	return text->text;
}

const char *format_duration(struct text *text, uint64_t ms)
{
	static const struct {
		uint64_t seconds;
		char name;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	uint64_t seconds = ms / 1000;

	if (seconds == 0)
		return put(text, "%u ms", (unsigned int)ms);
	for (size_t i = 0; i < 3; i++) {
		if (seconds < units[i].seconds)
			continue;
		uint64_t whole = seconds / units[i].seconds;
		uint64_t rest = seconds % units[i].seconds / units[i + 1].seconds;
		if (rest == 0)
			return put(text, "%llu%c", (unsigned long long)whole, units[i].name);
		return put(text, "%llu%c %llu%c", (unsigned long long)whole, units[i].name,
			   (unsigned long long)rest, units[i + 1].name);
	}
	return put(text, "%llus", (unsigned long long)seconds);
}

// Three significant digits, cut rather than rounded, so that 999,999 is not 1000k.
static const char *put_scaled(struct text *text, uint64_t value, uint64_t base, const char *gap,
			      const char *const units[])
{
	uint64_t unit = 1;
	size_t i = 0;

	while (value / unit >= base && units[i + 1] != NULL) {
		unit *= base;
		i++;
	}
	unsigned long long whole = value / unit;
	unsigned int hundredths = (unsigned int)((double)(value % unit) / (double)unit * 100);
	if (hundredths > 99)
		hundredths = 99;
	if (i == 0 || whole >= 100)
		return put(text, "%llu%s%s", whole, gap, units[i]);
	if (whole >= 10)
		return put(text, "%llu.%u%s%s", whole, hundredths / 10, gap, units[i]);
	return put(text, "%llu.%02u%s%s", whole, hundredths, gap, units[i]);
}

const char *format_count(struct text *text, uint64_t count)
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};

	return put_scaled(text, count, 1000, "", units);
}

const char *format_bytes(struct text *text, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};

	return put_scaled(text, bytes, 1024, " ", units);
}

const char *format_mac(struct text *text, const uint8_t mac[6])
{
	return put(text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		   mac[5]);
}

const char *format_address(struct text *text, int family, const void *address)
{
	if (inet_ntop(family, address, text->text, sizeof(text->text)) == NULL)
		return put(text, "?");
	return text->text;
}

const char *format_prefix(struct text *text, int family, const void *address, unsigned int length)
{
	struct text network;

	return put(text, "%.64s/%u", format_address(&network, family, address), length);
}

const char *format_function(struct text *text, unsigned int pf, unsigned int vf)
{
	return put(text, "pf%uvf%u", pf, vf);
}

const char *format_container(struct text *text, const char *container_id)
{
	size_t digits = strspn(container_id, "0123456789abcdef");

	// Only the hexadecimal ones are unique in their beginnings.
	if (digits >= 32 && container_id[digits] == '\0')
		return put(text, "%.12s", container_id);
	return put(text, "%s", container_id);
}

const char *format_pod(struct text *text, const struct podport_attachment *attachment)
{
	if (attachment->pod_name[0] == '\0')
		return format_container(text, attachment->key.container_id);
	if (attachment->pod_namespace[0] == '\0')
		return put(text, "%s", attachment->pod_name);
	return put(text, "%s/%s", attachment->pod_namespace, attachment->pod_name);
}

const char *format_share(struct text *text, uint64_t part, uint64_t whole)
{
	unsigned int percent;

	if (whole == 0)
		return put(text, "-");
	if (part >= whole)
		return put(text, "100%%");
	// Not part * 100, which has no room in 64 bits.
	percent = (unsigned int)((double)part / (double)whole * 100);
	if (percent == 0)
		return put(text, part == 0 ? "0%%" : "<1%%");
	return put(text, "%u%%", percent > 99 ? 99 : percent);
}

const char *format_offload(struct text *text, const struct podport_offload_summary *summary)
{
	if (!summary->enabled)
		return put(text, "off (nic.offload of the agent's configuration)");
	if (!summary->usable)
		return put(text, "NOT usable: %.400s", summary->why_not);
	if (summary->rules_missing == 0)
		return put(text, "on, %u rules", summary->rules);
	return put(text, "on, %u rules, %u missing: %.400s", summary->rules, summary->rules_missing,
		   summary->missing_reason);
}
