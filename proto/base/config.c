// SPDX-License-Identifier: BSD-3-Clause
//
// The YAML loader: libyaml's document tree, walked along the table of keys. Every node carries its
// line, so every error can be pointed at. Start-up only, one thread; what config_line needs is kept
// in this file's `loaded`.

#include "proto/base/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/message.h"

enum {
	FILE_BYTES_MAX = 64 * 1024, // a configuration of hundreds of keys is 10 KB
	BRACKETS_MAX = 1024, // libyaml takes the square of their depth: seconds for 64 KB of them
	KEYS_MAX = 128,      // in one file, with sections; of our daemons, not of the user's
	PATH_SIZE = 128,     // of a dotted path
	SUGGESTION_DISTANCE = 2, // edits between an unknown key and the one that was meant
};

// What one call of config_load knows.
struct loader {
	const char *file;
	const struct config_key *keys;
	void *config;
	yaml_document_t document;
	bool *visited; // by node number: a node met twice is an alias
	struct error *err;
};

// Lines of the file loaded last.
static struct {
	size_t count;
	struct {
		char path[PATH_SIZE];
		unsigned int line;
	} keys[KEYS_MAX];
} loaded;

unsigned int config_line(const char *path)
{
	for (size_t i = 0; i < loaded.count; i++)
		if (strcmp(loaded.keys[i].path, path) == 0)
			return loaded.keys[i].line;
	return 0;
}

int config_error(const char *file, const char *path, struct error *err, const char *format, ...)
{
	char sentence[ERROR_MESSAGE_SIZE];
	unsigned int line = config_line(path);
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s:%u: %s: %s", file, line == 0 ? 1 : line,
			 path, sentence);
}

// "FILE:LINE: PATH: sentence". An empty path is left out.
__attribute__((format(printf, 4, 5))) static int
fail(const struct loader *loader, unsigned int line, const char *path, const char *format, ...)
{
	char sentence[ERROR_MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return error_set(loader->err, EINVAL, CODE_BAD_REQUEST, "%s:%u: %s%s%s", loader->file, line,
			 path, path[0] != '\0' ? ": " : "", sentence);
}

static unsigned int line_of(const yaml_node_t *node)
{
	return (unsigned int)node->start_mark.line + 1;
}

// ---- the table ---------------------------------------------------------------------------------

static const struct config_key *find_key(const struct loader *loader, const char *path)
{
	for (const struct config_key *key = loader->keys; key->path != NULL; key++)
		if (strcmp(key->path, path) == 0)
			return key;
	return NULL;
}

static bool is_section(const struct loader *loader, const char *path)
{
	size_t length = strlen(path);

	for (const struct config_key *key = loader->keys; key->path != NULL; key++)
		if (strncmp(key->path, path, length) == 0 && key->path[length] == '.')
			return true;
	return false;
}

// Edits from one word to the other (Levenshtein); words longer than PATH_SIZE are far from all.
static size_t edit_distance(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b);
	size_t row[PATH_SIZE + 1];

	if (a_length > PATH_SIZE || b_length > PATH_SIZE)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0]; // of row i - 1

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_length];
}

static int fail_unknown(const struct loader *loader, unsigned int line, const char *path)
{
	const char *nearest = NULL;
	size_t nearest_distance = SUGGESTION_DISTANCE + 1;

	for (const struct config_key *key = loader->keys; key->path != NULL; key++) {
		// As many words of the key as `path` has, so that sections are suggested too.
		char candidate[PATH_SIZE];
		size_t dots = 0, length = 0;

		for (const char *c = path; *c != '\0'; c++)
			dots += *c == '.';
		while (key->path[length] != '\0' && (key->path[length] != '.' || dots-- > 0))
			length++;
		snprintf(candidate, sizeof(candidate), "%.*s", (int)length, key->path);

		size_t distance = edit_distance(path, candidate);
		if (distance < nearest_distance) {
			nearest_distance = distance;
			nearest = key->path;
		}
	}
	if (nearest == NULL)
		return fail(loader, line, path, "unknown key");
	return fail(loader, line, path, "unknown key; did you mean %s?", nearest);
}

// ---- the walk ----------------------------------------------------------------------------------

static bool is_null(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

// The node, marked as met. NULL (with the error set): it was met before, so an alias leads to it.
static yaml_node_t *visit(struct loader *loader, int number, unsigned int line, const char *path)
{
	yaml_node_t *node = yaml_document_get_node(&loader->document, number);

	if (node == NULL || loader->visited[number]) {
		fail(loader, line, path, "YAML aliases (*name) are not supported");
		return NULL;
	}
	loader->visited[number] = true;
	return node;
}

static int parse_scalar(struct loader *loader, const struct config_key *key,
			const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	struct error why = {.code = CODE_BAD_REQUEST, .message = "is not valid"};

	if (strlen(text) != node->data.scalar.length)
		return fail(loader, line_of(node), key->path, "contains a NUL character");
	if (key->parse(text, (char *)loader->config + key->offset, &why) < 0)
		return fail(loader, line_of(node), key->path, "%s", why.message);
	return 0;
}

static int parse_value(struct loader *loader, const struct config_key *key, const yaml_node_t *node)
{
	if (node->type == YAML_SCALAR_NODE)
		return parse_scalar(loader, key, node);
	if (node->type == YAML_MAPPING_NODE)
		return fail(loader, line_of(node), key->path,
			    "a %s is expected here, not a section", key->list ? "list" : "value");
	if (!key->list)
		return fail(loader, line_of(node), key->path,
			    "a value is expected here, not a list");

	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		const yaml_node_t *child = visit(loader, *item, line_of(node), key->path);

		if (child == NULL)
			return -EINVAL;
		if (child->type != YAML_SCALAR_NODE)
			return fail(loader, line_of(child), key->path,
				    "the items of this list must be plain values");
		int r = parse_scalar(loader, key, child);
		if (r < 0)
			return r;
	}
	return 0;
}

static int note_line(struct loader *loader, const char *path, unsigned int line)
{
	unsigned int before = config_line(path);

	if (before != 0)
		return fail(loader, line, path, "set a second time; the first is in line %u",
			    before);
	// Only known keys and sections come here, once each.
	if (loaded.count == KEYS_MAX)
		return fail(loader, line, path, "more than %d keys", (int)KEYS_MAX);
	snprintf(loaded.keys[loaded.count].path, PATH_SIZE, "%s", path);
	loaded.keys[loaded.count++].line = line;
	return 0;
}

static int walk_section(struct loader *loader, const yaml_node_t *section,
			const char *section_path);

static int walk_pair(struct loader *loader, const yaml_node_pair_t *pair,
		     const yaml_node_t *section, const char *section_path)
{
	const yaml_node_t *name = visit(loader, pair->key, line_of(section), section_path);
	char path[PATH_SIZE];

	if (name == NULL)
		return -EINVAL;
	unsigned int line = line_of(name);
	if (name->type != YAML_SCALAR_NODE)
		return fail(loader, line, section_path, "a key must be a plain word");

	int length =
		snprintf(path, sizeof(path), "%s%s%s", section_path,
			 section_path[0] != '\0' ? "." : "", (const char *)name->data.scalar.value);
	if ((size_t)length >= sizeof(path) ||
	    strlen((const char *)name->data.scalar.value) != name->data.scalar.length)
		return fail(loader, line, section_path, "unknown key of %zu bytes",
			    name->data.scalar.length);

	// A dot inside a word would otherwise pass for a section: "tls.ca: x".
	const struct config_key *key = find_key(loader, path);
	if (strchr((const char *)name->data.scalar.value, '.') != NULL ||
	    (key == NULL && !is_section(loader, path)))
		return fail_unknown(loader, line, path);

	const yaml_node_t *value = visit(loader, pair->value, line, path);
	if (value == NULL)
		return -EINVAL;
	int r = note_line(loader, path, line);
	if (r < 0)
		return r;
	if (key != NULL)
		return parse_value(loader, key, value);
	if (is_null(value))
		return 0; // "tls:" with all its keys commented out
	if (value->type != YAML_MAPPING_NODE)
		return fail(loader, line_of(value), path, "a section of keys is expected here");
	return walk_section(loader, value, path);
}

static int walk_section(struct loader *loader, const yaml_node_t *section, const char *section_path)
{
	for (const yaml_node_pair_t *pair = section->data.mapping.pairs.start;
	     pair < section->data.mapping.pairs.top; pair++) {
		int r = walk_pair(loader, pair, section, section_path);

		if (r < 0)
			return r;
	}
	return 0;
}

// A missing key is reported at the line of its innermost section that is there.
static int check_required(struct loader *loader)
{
	for (const struct config_key *key = loader->keys; key->path != NULL; key++) {
		char section[PATH_SIZE];
		char *dot;
		unsigned int line = 0;

		if (!key->required || config_line(key->path) != 0)
			continue;
		snprintf(section, sizeof(section), "%s", key->path);
		while (line == 0 && (dot = strrchr(section, '.')) != NULL) {
			*dot = '\0';
			line = config_line(section);
		}
		return fail(loader, line == 0 ? 1 : line, key->path, "required, but not set");
	}
	return 0;
}

// ---- libyaml -----------------------------------------------------------------------------------

static int fail_syntax(const struct loader *loader, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return error_set(loader->err, ENOMEM, CODE_INTERNAL, "%s: out of memory",
				 loader->file);

	// A reader error (encoding) has an offset and no mark.
	unsigned int line = (unsigned int)parser->problem_mark.line + 1;
	if (parser->error == YAML_READER_ERROR)
		return fail(loader, line, "", "not UTF-8 text: %s at byte %zu", parser->problem,
			    parser->problem_offset);
	return fail(loader, line, "", "YAML syntax: %s%s%s", parser->problem,
		    parser->context != NULL ? " " : "",
		    parser->context != NULL ? parser->context : "");
}

static int walk_document(struct loader *loader)
{
	yaml_node_t *root = yaml_document_get_root_node(&loader->document);
	size_t nodes = (size_t)(loader->document.nodes.top - loader->document.nodes.start);

	if (root == NULL || is_null(root))
		return 0; // empty: defaults, if nothing is required
	if (root->type != YAML_MAPPING_NODE)
		return fail(loader, line_of(root), "",
			    "the file must consist of \"key: value\" lines");

	loader->visited = calloc(nodes + 1, sizeof(*loader->visited)); // numbers begin with 1
	if (loader->visited == NULL)
		return error_set(loader->err, ENOMEM, CODE_INTERNAL, "%s: out of memory",
				 loader->file);
	loader->visited[1] = true;
	int r = walk_section(loader, root, "");
	free(loader->visited);
	return r;
}

// The second document, if any, is the user's mistake: half of the file would not count.
static int check_single(struct loader *loader, yaml_parser_t *parser)
{
	yaml_document_t next;

	if (!yaml_parser_load(parser, &next))
		return fail_syntax(loader, parser);
	yaml_node_t *root = yaml_document_get_root_node(&next);
	int r = root == NULL ? 0
			     : fail(loader, line_of(root), "",
				    "a second YAML document begins here; only one is allowed");
	yaml_document_delete(&next);
	return r;
}

static bool has_too_many_brackets(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += text[i] == '[' || text[i] == '{';
	return count > BRACKETS_MAX;
}

int config_load_text(const char *file, const char *text, size_t size, const struct config_key *keys,
		     void *config, struct error *err)
{
	struct loader loader = {.file = file, .keys = keys, .config = config, .err = err};
	yaml_parser_t parser;
	int r;

	loaded.count = 0;
	if (has_too_many_brackets(text, size))
		return fail(&loader, 1, "", "more than %d brackets", (int)BRACKETS_MAX);
	if (!yaml_parser_initialize(&parser))
		return error_set(err, ENOMEM, CODE_INTERNAL, "%s: out of memory", file);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (!yaml_parser_load(&parser, &loader.document)) {
		r = fail_syntax(&loader, &parser);
	} else {
		r = walk_document(&loader);
		if (r == 0 && yaml_document_get_root_node(&loader.document) != NULL)
			r = check_single(&loader, &parser);
		if (r == 0)
			r = check_required(&loader);
		yaml_document_delete(&loader.document);
	}
	yaml_parser_delete(&parser);
	return r;
}

int config_load(const char *file, const struct config_key *keys, void *config, struct error *err)
{
	char *text = NULL;
	size_t size = 0;
	int r = file_read(file, FILE_BYTES_MAX, &text, &size);

	if (r == -EFBIG)
		return error_set(err, EFBIG, CODE_BAD_REQUEST, "%s: larger than %d KB", file,
				 FILE_BYTES_MAX / 1024);
	if (r < 0)
		return error_set(err, -r, CODE_BAD_REQUEST, "%s: cannot be read: %s", file,
				 strerror(-r));
	r = config_load_text(file, text, size, keys, config, err);
	free(text);
	return r;
}

// ---- values ------------------------------------------------------------------------------------

int config_parse_bool(const char *text, void *target, struct error *err)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"true", true},   {"yes", true}, {"on", true},
		     {"false", false}, {"no", false}, {"off", false}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i].word) == 0) {
			*(bool *)target = words[i].value;
			return 0;
		}
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "\"%s\" is neither true nor false", text);
}

int config_parse_uint32(const char *text, void *target, struct error *err)
{
	uint64_t value = 0;
	const char *c = text;

	for (; *c >= '0' && *c <= '9' && value <= UINT32_MAX; c++)
		value = value * 10 + (uint64_t)(*c - '0');
	if (value > UINT32_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s is larger than %u", text,
				 UINT32_MAX);
	if (c == text || *c != '\0')
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "\"%s\" is not a whole number",
				 text);
	*(uint32_t *)target = (uint32_t)value;
	return 0;
}

int config_parse_range(const char *text, uint32_t min, uint32_t max, uint32_t *ret_value,
		       struct error *err)
{
	uint32_t value;
	int r = config_parse_uint32(text, &value, err);

	if (r < 0)
		return r;
	if (value < min || value > max)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%u is not in %u..%u", value, min,
				 max);
	*ret_value = value;
	return 0;
}

int config_parse_path(const char *text, void *target, struct error *err)
{
	size_t length = strlen(text);

	if (length == 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "is empty");
	if (length > LIMIT_PATH)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%zu bytes are more than %d",
				 length, (int)LIMIT_PATH);
	memcpy(target, text, length + 1);
	return 0;
}

int config_parse_log_level(const char *text, void *target, struct error *err)
{
	if (log_level_parse(text, target) < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "\"%s\" is none of error, warning, info, debug", text);
	return 0;
}
