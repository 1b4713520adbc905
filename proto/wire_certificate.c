// SPDX-License-Identifier: BSD-3-Clause
//
// A look at our own certificate, by mbedTLS' X.509 (nng's TLS uses the same). nng tells nobody why a handshake
// failed, neither here nor at the peer, so what can be known beforehand is said when the files are read: the peer will
// refuse a certificate that is out of date or of another authority. That alone is no reason not to start: a DPU whose
// clock is still wrong at boot would never come up.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

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
static bool parse(struct identity *identity, const char *ca, const char *certificate,
		  const char *key)
{
	const unsigned char *pem = (const unsigned char *)key;
	size_t size = strlen(key) + 1;

	return mbedtls_x509_crt_parse(&identity->ca, (const unsigned char *)ca, strlen(ca) + 1) ==
		       0 &&
	       mbedtls_x509_crt_parse(&identity->certificate, (const unsigned char *)certificate,
				      strlen(certificate) + 1) == 0 &&
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

static void warn_of_refusal(struct identity *identity, const char *file, const char *ca_file)
{
	const mbedtls_x509_crt *certificate = &identity->certificate;
	uint32_t flags = 0;
	char from[32], to[32];

	if (mbedtls_x509_crt_verify(&identity->certificate, &identity->ca, NULL, NULL, &flags, NULL,
				    NULL) == 0)
		return;
	format_time(&certificate->valid_from, from);
	format_time(&certificate->valid_to, to);
	if (mbedtls_x509_time_is_past(&certificate->valid_to))
		log_warning("our certificate has expired, the peer will refuse it",
			    "file=%s expired=%s", file, to);
	else if (mbedtls_x509_time_is_future(&certificate->valid_from))
		log_warning("our certificate is not valid yet, the peer will refuse it",
			    "file=%s begins=%s", file, from);
	else if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0)
		log_warning("our certificate is not of our authority, a peer that trusts only that "
			    "one will refuse it",
			    "file=%s ca=%s", file, ca_file);
	else // the authority's own certificate, then
		log_warning("our certificate will be refused", "file=%s ca=%s flags=%#x", file,
			    ca_file, flags);
}

int wire_check_certificates(const struct wire_tls *tls, const char *ca, const char *certificate,
			    const char *key, struct error *err)
{
	struct identity identity;
	int r = 0;

	mbedtls_x509_crt_init(&identity.ca);
	mbedtls_x509_crt_init(&identity.certificate);
	mbedtls_pk_init(&identity.key);
	if (!parse(&identity, ca, certificate, key))
		r = error_set(
			err, EINVAL, CODE_BAD_REQUEST,
			"tls.ca, tls.certificate, tls.key: %s, %s and %s cannot be read whole",
			tls->ca_file, tls->certificate_file, tls->key_file);
	else if (!is_pair(&identity))
		r = error_set(err, EINVAL, CODE_BAD_REQUEST,
			      "tls.key: %s is not the key of the certificate %s", tls->key_file,
			      tls->certificate_file);
	else
		warn_of_refusal(&identity, tls->certificate_file, tls->ca_file);
	mbedtls_pk_free(&identity.key);
	mbedtls_x509_crt_free(&identity.certificate);
	mbedtls_x509_crt_free(&identity.ca);
	return r;
}
