// SPDX-License-Identifier: BSD-3-Clause
//
// A look at our own certificate, by mbedTLS' X.509 (nng's TLS uses the same). nng tells nobody why a handshake
// failed, neither here nor at the peer, so what can be known beforehand is said when the files are read: the peer will
// refuse a certificate that is out of date or of another authority. That alone is no reason not to start: a DPU whose
// clock is still wrong at boot would never come up.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/wire_private.h"

struct identity {
	mbedtls_x509_crt ca, certificate;
	mbedtls_pk_context key;
};

#if MBEDTLS_VERSION_MAJOR >= 3
static int fill_random(void *arg, unsigned char *data, size_t size)
{
	return getrandom(data, size, 0) == (ssize_t)size ? 0 : -1;
}
#endif

// PEM texts, with their end.
static bool parse_certificates(struct identity *identity, const char *ca, const char *certificate)
{
	return mbedtls_x509_crt_parse(&identity->ca, (const unsigned char *)ca, strlen(ca) + 1) ==
		       0 &&
	       mbedtls_x509_crt_parse(&identity->certificate, (const unsigned char *)certificate,
				      strlen(certificate) + 1) == 0;
}

static bool parse(struct identity *identity, const char *ca, const char *certificate,
		  const char *key)
{
	const unsigned char *pem = (const unsigned char *)key;
	size_t size = strlen(key) + 1;

	return parse_certificates(identity, ca, certificate) &&
#if MBEDTLS_VERSION_MAJOR >= 3
	       mbedtls_pk_parse_key(&identity->key, pem, size, NULL, 0, fill_random, NULL) == 0;
#else
	       mbedtls_pk_parse_key(&identity->key, pem, size, NULL, 0) == 0;
#endif
}

static bool is_pair(struct identity *identity)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_check_pair(&identity->certificate.pk, &identity->key, fill_random,
				     NULL) == 0;
#else
	return mbedtls_pk_check_pair(&identity->certificate.pk, &identity->key) == 0;
#endif
}

static void format_time(const mbedtls_x509_time *time, char ret_text[32])
{
	snprintf(ret_text, 32, "%04d-%02d-%02dT%02d:%02d:%02dZ", time->year, time->mon, time->day,
		 time->hour, time->min, time->sec);
}

// Will a peer refuse it, and why?
static bool find_fault(struct identity *identity, const struct wire_tls *tls,
		       char ret_text[LIMIT_TEXT + 1])
{
	const mbedtls_x509_crt *certificate = &identity->certificate;
	const char *file = tls->certificate_file;
	uint32_t flags = 0;
	char time[32];

	if (mbedtls_x509_crt_verify(&identity->certificate, &identity->ca, NULL, NULL, &flags, NULL,
				    NULL) == 0)
		return false;
	if (mbedtls_x509_time_is_past(&certificate->valid_to)) {
		format_time(&certificate->valid_to, time);
		snprintf(ret_text, LIMIT_TEXT + 1, "%s has expired: %s", file, time);
	} else if (mbedtls_x509_time_is_future(&certificate->valid_from)) {
		format_time(&certificate->valid_from, time);
		snprintf(ret_text, LIMIT_TEXT + 1, "%s is not valid yet, but from %s", file, time);
	} else if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
		snprintf(ret_text, LIMIT_TEXT + 1, "%s is not of our authority, %s", file,
			 tls->ca_file);
	} else { // the authority's own certificate, then
		snprintf(ret_text, LIMIT_TEXT + 1, "%s does not stand up to %s (%#x)", file,
			 tls->ca_file, flags);
	}
	return true;
}

static void init(struct identity *identity)
{
	mbedtls_x509_crt_init(&identity->ca);
	mbedtls_x509_crt_init(&identity->certificate);
	mbedtls_pk_init(&identity->key);
}

static void clear(struct identity *identity)
{
	mbedtls_pk_free(&identity->key);
	mbedtls_x509_crt_free(&identity->certificate);
	mbedtls_x509_crt_free(&identity->ca);
}

int wire_check_certificates(const struct wire_tls *tls, const char *ca, const char *certificate,
			    const char *key, struct error *err)
{
	struct identity identity;
	char fault[LIMIT_TEXT + 1];
	int r = 0;

	init(&identity);
	if (!parse(&identity, ca, certificate, key))
		r = error_set(
			err, EINVAL, CODE_BAD_REQUEST,
			"tls.ca, tls.certificate, tls.key: %s, %s and %s cannot be read whole",
			tls->ca_file, tls->certificate_file, tls->key_file);
	else if (!is_pair(&identity))
		r = error_set(err, EINVAL, CODE_BAD_REQUEST,
			      "tls.key: %s is not the key of the certificate %s", tls->key_file,
			      tls->certificate_file);
	else if (find_fault(&identity, tls, fault))
		log_warning("our certificate will be refused", "reason=\"%s\"", fault);
	clear(&identity);
	return r;
}

bool wire_certificate_fault(const struct wire_tls *tls, char ret_text[LIMIT_TEXT + 1])
{
	char *ca = NULL, *certificate = NULL;
	struct identity identity;
	bool found = false;
	size_t size;

	init(&identity);
	if (file_read(tls->ca_file, WIRE_PEM_BYTES_MAX, &ca, &size) == 0 &&
	    file_read(tls->certificate_file, WIRE_PEM_BYTES_MAX, &certificate, &size) == 0 &&
	    parse_certificates(&identity, ca, certificate))
		found = find_fault(&identity, tls, ret_text);
	clear(&identity);
	free(ca);
	free(certificate);
	return found;
}
