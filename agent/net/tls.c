/* TLS between peers. Lives here: making and reading a node's key and certificate, what the server
 * demands of a handshake, pins.
 *
 * What is pinned is the public key, not the certificate, so that a certificate may be made anew
 * around the same key. Its dates are written so that no clock is outside of them, and nobody looks
 * at them: laptops without a battery for their clock wake up in 1970. */
#include "config.h"

#include "net/tls.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/private.h"

enum {
	PEM_MAX = 64 * 1024,	    /* ours has 900 bytes; room for one that somebody else made */
	SERIAL_BYTES = 16,
	CALLER_CERT_MAX = 16 * 1024 /* bytes of a caller's certificates; ours have 600 */
};

static const char pin_head[] = "sha256//";

struct tls_door {
	SSL_CTX *ctx;
	const struct conf *conf;
	bool known_only; /* every peer has a pin */
	bool (*let)(void *arg); /* are strangers let in now? NULL: never */
	void *let_arg;
};

static bool
for_known_only(const struct tls_door *d)
{
	return d->known_only && (d->let == NULL || !d->let(d->let_arg));
}

/* What OpenSSL says about the last failure; empties its queue, which must not tell it again of
 * another connection. */
static const char *
library_says(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code == 0 ? NULL : ERR_reason_error_string(code);

	ERR_clear_error();
	return text == NULL ? "unknown error" : text;
}

/* --- pins --- */

bool
tls_is_pin(const char *pin)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(pin) == TLS_PIN_LEN && strncmp(pin, pin_head, sizeof pin_head - 1) == 0 &&
	    strspn(pin + sizeof pin_head - 1, base64) == 43 && pin[TLS_PIN_LEN - 1] == '=';
}

/* sha256//BASE64 of the certificate's public key, as libcurl reckons it. */
static bool
pin_of(X509 *cert, char pin[TLS_PIN_LEN + 1])
{
	unsigned char *der = NULL, hash[32];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) == 1;

	pin[0] = '\0';
	if (ok) {
		memcpy(pin, pin_head, sizeof pin_head);
		(void)EVP_EncodeBlock((unsigned char *)pin + sizeof pin_head - 1, hash, (int)sizeof hash);
	}
	OPENSSL_free(der);
	return ok;
}

/* --- this node's identity --- */

static bool
name_certificate(X509 *cert, const char *node)
{
	X509_NAME *name = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)node, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, name) == 1;
}

static bool
number_certificate(X509 *cert, struct err *e)
{
	unsigned char serial[SERIAL_BYTES];
	BIGNUM *number;
	bool ok;

	if (!clock_random(serial, sizeof serial, e))
		return false;
	serial[0] &= 0x7f; /* positive */
	number = BN_bin2bn(serial, sizeof serial, NULL);
	ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
	BN_free(number);
	return ok;
}

/* A certificate for the key, valid for ever (RFC 5280 writes that as the end of the year 9999). */
static X509 *
make_certificate(EVP_PKEY *key, const char *node, struct err *e)
{
	X509 *cert = X509_new();

	if (cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && number_certificate(cert, e) &&
	    ASN1_TIME_set_string_X509(X509_getm_notBefore(cert), "19700101000000Z") == 1 &&
	    ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), "99991231235959Z") == 1 &&
	    X509_set_pubkey(cert, key) == 1 && name_certificate(cert, node) && X509_sign(cert, key, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static bool
make_identity(const struct conf *conf, struct err *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key == NULL ? NULL : make_certificate(key, conf->node.name, e);
	BIO *out = BIO_new(BIO_s_secmem());
	bool ok = cert != NULL && out != NULL && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	    PEM_write_bio_X509(out, cert) == 1;
	char *text = NULL;
	long len = ok ? BIO_get_mem_data(out, &text) : 0;
	bool exists;

	if (!ok)
		(void)err_set(e, ERR_INTERNAL, "cannot make a TLS key: %s", library_says());
	else /* one that another agent made at the same moment is as good */
		ok = private_create(conf->node.identity, text, (size_t)len, &exists, e);
	BIO_free(out);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}

/* Key and certificate in the text; both to be freed. */
static bool
parse_identity(const struct tls_identity *id, EVP_PKEY **key, X509 **cert)
{
	BIO *in = BIO_new_mem_buf(id->pem, (int)id->len);

	*key = in == NULL ? NULL : PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)(uintptr_t)"");
	BIO_free(in);
	in = BIO_new_mem_buf(id->pem, (int)id->len);
	*cert = in == NULL ? NULL : PEM_read_bio_X509(in, NULL, NULL, (void *)(uintptr_t)"");
	BIO_free(in);
	return *key != NULL && *cert != NULL && X509_check_private_key(*cert, *key) == 1;
}

bool
tls_identity(const struct conf *conf, struct tls_identity *out, struct err *e)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	bool ok;

	memset(out, 0, sizeof *out);
	ERR_clear_error();
	if (access(conf->node.identity, F_OK) != 0 && errno == ENOENT && !make_identity(conf, e))
		return false;
	if (!private_read(conf->node.identity, "TLS key", "agent --serve makes one", PEM_MAX, &out->pem, &out->len, e))
		return false;
	ok = parse_identity(out, &key, &cert) && pin_of(cert, out->pin);
	X509_free(cert);
	EVP_PKEY_free(key);
	if (!ok) {
		(void)err_set(e, ERR_CONFIG,
		    "%s does not hold a key and its certificate (%s): bring it back from a backup, or remove it, and every "
		    "peer needs this node's new tls_pin", conf->node.identity, library_says());
		tls_identity_free(out);
	}
	return ok;
}

void
tls_identity_free(struct tls_identity *id)
{
	private_free(id->pem, id->len);
	memset(id, 0, sizeof *id);
}

/* --- the door --- */

/* Called by OpenSSL for a certificate that the caller shows. */
static int
on_certificate(X509_STORE_CTX *store, void *arg)
{
	const struct tls_door *d = arg;
	X509 *cert = X509_STORE_CTX_get0_cert(store);
	char pin[TLS_PIN_LEN + 1];

	if (!for_known_only(d))
		return 1; /* net/server asks again, when it knows which peer it should be */
	if (cert != NULL && pin_of(cert, pin))
		for (size_t i = 0; i < d->conf->npeers; i++)
			if (strcmp(d->conf->peers[i].tls_pin, pin) == 0)
				return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static bool
set_up_door(struct tls_door *d, const struct tls_identity *id)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	bool ok = parse_identity(id, &key, &cert) && SSL_CTX_use_certificate(d->ctx, cert) == 1 &&
	    SSL_CTX_use_PrivateKey(d->ctx, key) == 1 && SSL_CTX_set_min_proto_version(d->ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(d->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 && /* of TLS 1.2 */
	    SSL_CTX_set_num_tickets(d->ctx, 0) == 1;

	X509_free(cert);
	EVP_PKEY_free(key);
	(void)SSL_CTX_set_options(d->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_session_cache_mode(d->ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(d->ctx, SSL_MODE_RELEASE_BUFFERS); /* 32 KiB less for a quiet connection */
	SSL_CTX_set_max_cert_list(d->ctx, CALLER_CERT_MAX);
	SSL_CTX_set_cert_verify_callback(d->ctx, on_certificate, d);
	return ok;
}

bool
tls_door_new(const struct conf *conf, struct tls_door **out, struct err *e)
{
	struct tls_identity id;
	struct tls_door *d;
	bool ok;

	*out = NULL;
	if (!tls_identity(conf, &id, e))
		return false;
	d = calloc(1, sizeof *d);
	if (d != NULL)
		d->ctx = SSL_CTX_new(TLS_server_method());
	ok = (d != NULL && d->ctx != NULL) || err_set(e, ERR_MEMORY, "out of memory for TLS");
	if (ok) {
		d->conf = conf;
		d->known_only = conf->npeers > 0;
		for (size_t i = 0; i < conf->npeers; i++)
			d->known_only = d->known_only && conf->peers[i].tls_pin[0] != '\0';
		ok = set_up_door(d, &id) || err_set(e, ERR_INTERNAL, "TLS cannot be set up: %s", library_says());
	}
	tls_identity_free(&id);
	if (!ok) {
		tls_door_free(d);
		return false;
	}
	*out = d;
	return true;
}

void
tls_door_free(struct tls_door *d)
{
	if (d == NULL)
		return;
	SSL_CTX_free(d->ctx);
	free(d);
}

void
tls_door_let_strangers(struct tls_door *d, bool (*let)(void *arg), void *arg)
{
	d->let = let;
	d->let_arg = arg;
}

struct bufferevent *
tls_door_open(struct tls_door *d, struct event_base *base)
{
	SSL *ssl = SSL_new(d->ctx);
	struct bufferevent *bev;
	int verify = SSL_VERIFY_PEER;

	if (ssl == NULL)
		return NULL;
	if (for_known_only(d))
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_set_verify(ssl, verify, NULL);
	bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		SSL_free(ssl);
		return NULL;
	}
	/* An end without close_notify is an end: every message has its length and its MAC. */
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

bool
tls_shown(struct bufferevent *bev, char pin[TLS_PIN_LEN + 1])
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	X509 *cert = ssl == NULL ? NULL : SSL_get1_peer_certificate(ssl);
	bool ok = cert != NULL && pin_of(cert, pin);

	X509_free(cert);
	return ok;
}

bool
tls_stands(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	return ssl != NULL && SSL_is_init_finished(ssl);
}

bool
tls_failed(struct bufferevent *bev, char why[TLS_WHY_MAX])
{
	unsigned long code = tls_stands(bev) ? 0 : bufferevent_get_openssl_error(bev);
	const char *text;

	if (code == 0)
		return false;
	switch (ERR_GET_REASON(code)) {
	case SSL_R_HTTP_REQUEST:
		text = "plain HTTP where TLS is spoken: the url there must begin with https://";
		break;
	case SSL_R_UNSUPPORTED_PROTOCOL:
		text = "TLS older than 1.2";
		break;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		text = "no TLS key shown, and every peer here has a tls_pin";
		break;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		text = "its TLS key is no tls_pin of any peer here";
		break;
	default:
		text = ERR_reason_error_string(code);
		break;
	}
	(void)snprintf(why, TLS_WHY_MAX, "no TLS: %s", text == NULL ? "unknown error" : text);
	return true;
}
