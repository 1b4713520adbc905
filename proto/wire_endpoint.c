// SPDX-License-Identifier: BSD-3-Clause
//
// Where the wire may go, and with which certificates. Both ends check with the same rules, when they
// are opened; nothing here is on the path of a call.

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base/file.h"
#include "proto/wire_private.h"

// ---- URL -----------------------------------------------------------------------------------------

static bool is_loopback(const char *host)
{
	struct in_addr ipv4;
	struct in6_addr ipv6;

	if (inet_pton(AF_INET, host, &ipv4) == 1)
		return ntohl(ipv4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &ipv6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&ipv6);
	return strcmp(host, "localhost") == 0;
}

static bool is_address(const char *host)
{
	uint8_t address[16];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static int check_ipc(const char *url, const nng_url *parsed, struct error *err)
{
	struct sockaddr_un address;

	if (parsed->u_path[0] != '/')
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: the path of an ipc:// URL must be absolute (ipc:///run/…)",
				 url);
	if (strlen(parsed->u_path) >= sizeof(address.sun_path))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: a socket's path may have at most %zu bytes", url,
				 sizeof(address.sun_path) - 1);
	return 0;
}

static int check_tcp(const char *url, const nng_url *parsed, struct error *err)
{
	char *end;
	unsigned long port = strtoul(parsed->u_port, &end, 10);

	if (parsed->u_port[0] == '\0' || *end != '\0' || port < 1 || port > 65535)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: has no port of 1..65535", url);
	if ((parsed->u_path[0] != '\0' && strcmp(parsed->u_path, "/") != 0) ||
	    parsed->u_userinfo != NULL || parsed->u_query != NULL || parsed->u_fragment != NULL)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: there is more than host:port",
				 url);
	return 0;
}

// ---- certificates --------------------------------------------------------------------------------

static int read_pem(const char *key, const char *file, char **ret_pem, struct error *err)
{
	size_t size;
	int r = file_read(file, WIRE_PEM_BYTES_MAX, ret_pem, &size);

	if (r < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: %s cannot be read: %s", key,
				 file, strerror(-r));
	return 0;
}

static void free_secret(char *pem)
{
	if (pem != NULL)
		explicit_bzero(pem, strlen(pem));
	free(pem);
}

// tls+tcp: both sides show a certificate and demand the other's. Only TLS 1.2 and up.
static int set_certificates(nng_tls_config *config, const struct wire_tls *tls, struct error *err)
{
	char *ca = NULL, *certificate = NULL, *key = NULL;
	int r, rv;

	if ((r = read_pem("tls.ca", tls->ca_file, &ca, err)) < 0 ||
	    (r = read_pem("tls.certificate", tls->certificate_file, &certificate, err)) < 0 ||
	    (r = read_pem("tls.key", tls->key_file, &key, err)) < 0)
		goto out;
	if ((rv = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED)) != 0 ||
	    (rv = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_3)) != 0) {
		r = error_set(err, EINVAL, CODE_INTERNAL, "TLS: %s", nng_strerror(rv));
		goto out;
	}
	if ((rv = nng_tls_config_ca_chain(config, ca, NULL)) != 0) {
		r = error_set(err, EINVAL, CODE_BAD_REQUEST,
			      "tls.ca: %s holds no certificates in PEM form (%s)", tls->ca_file,
			      nng_strerror(rv));
		goto out;
	}
	if ((rv = nng_tls_config_own_cert(config, certificate, key, NULL)) != 0)
		r = error_set(err, EINVAL, CODE_BAD_REQUEST,
			      "tls.certificate, tls.key: %s and %s are not a certificate and a key "
			      "without passphrase in PEM form (%s)",
			      tls->certificate_file, tls->key_file, nng_strerror(rv));
	else
		r = wire_check_certificates(tls, ca, certificate, key, err);
out:
	free(ca);
	free(certificate);
	free_secret(key);
	return r;
}

static bool is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static int make_tls_config(const char *url, const nng_url *parsed, const struct wire_tls *tls,
			   nng_tls_mode mode, nng_tls_config **ret_config, struct error *err)
{
	nng_tls_config *config;
	int r, rv;

	if (!is_set(tls->ca_file) || !is_set(tls->certificate_file) || !is_set(tls->key_file))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: needs tls.ca, tls.certificate and tls.key", url);
	rv = nng_tls_config_alloc(&config, mode);
	if (rv != 0)
		return error_set(err, rv == NNG_ENOMEM ? ENOMEM : EINVAL, CODE_INTERNAL, "TLS: %s",
				 nng_strerror(rv));
	r = set_certificates(config, tls, err);
	// mbedTLS 2 compares names only, not addresses: a peer called by its address is known by
	// its CA alone, which is therefore to be one of podport's own.
	if (r == 0 && mode == NNG_TLS_MODE_CLIENT && !is_address(parsed->u_hostname) &&
	    (rv = nng_tls_config_server_name(config, parsed->u_hostname)) != 0)
		r = error_set(err, EINVAL, CODE_INTERNAL, "TLS: %s", nng_strerror(rv));
	if (r < 0) {
		nng_tls_config_free(config);
		return r;
	}
	*ret_config = config;
	return 0;
}

static int check_parsed(const char *url, const nng_url *parsed, bool insecure, struct error *err)
{
	bool is_tls = strcmp(parsed->u_scheme, "tls+tcp") == 0;
	int r;

	if (strcmp(parsed->u_scheme, "ipc") == 0)
		return check_ipc(url, parsed, err);
	if (!is_tls && strcmp(parsed->u_scheme, "tcp") != 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: begins with none of ipc://, tls+tcp://, tcp://", url);
	r = check_tcp(url, parsed, err);
	if (r < 0)
		return r;
	if (!is_tls && !insecure && !is_loopback(parsed->u_hostname))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: plain tcp:// is only for loopback; use tls+tcp://, or set "
				 "insecure: true if you must",
				 url);
	return 0;
}

static int parse_url(const char *url, bool insecure, nng_url **ret_parsed, struct error *err)
{
	nng_url *parsed;
	int r;

	if (strlen(url) > LIMIT_PATH || nng_url_parse(&parsed, url) != 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%.100s: is not a URL (ipc:///path, tls+tcp://host:port)", url);
	r = check_parsed(url, parsed, insecure, err);
	if (r < 0)
		nng_url_free(parsed);
	else
		*ret_parsed = parsed;
	return r;
}

int wire_check_url(const char *url, bool insecure, struct error *err)
{
	nng_url *parsed = NULL;
	int r = parse_url(url, insecure, &parsed, err);

	if (r == 0)
		nng_url_free(parsed);
	return r;
}

int wire_endpoint_check(const char *url, const struct wire_tls *tls, bool insecure,
			nng_tls_mode mode, nng_tls_config **ret_tls_config, struct error *err)
{
	nng_url *parsed = NULL;
	int r = parse_url(url, insecure, &parsed, err);

	if (r < 0)
		return r;
	*ret_tls_config = NULL;
	if (strcmp(parsed->u_scheme, "tls+tcp") == 0)
		r = make_tls_config(url, parsed, tls, mode, ret_tls_config, err);
	else if (is_set(tls->ca_file) || is_set(tls->certificate_file) || is_set(tls->key_file))
		r = error_set(err, EINVAL, CODE_BAD_REQUEST,
			      "%s: certificates are configured, but only tls+tcp:// uses them",
			      url);
	nng_url_free(parsed);
	return r;
}
