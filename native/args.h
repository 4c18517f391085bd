/*
 * args.h - errors and arguments of functions that JavaScript calls. Part of tap.c, which is all that includes it.
 *
 * Interfaces: Node-API version 8.
 */
#ifndef NETMOD_ARGS_H
#define NETMOD_ARGS_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* libuv's, exported by the node binary: the name of a negated errno. */
extern const char *uv_err_name(int err);

/* Memory that typed arrays are made of. Node lets nobody transfer it, so that it stays where it is while a typed array on it is held. */
struct memory {
  struct memory *next, **at;
  uint8_t *data;
  size_t len;
};

/* A typed array that JavaScript registered. */
struct array {
  napi_ref ref;
  uint8_t *data;
  size_t len; /* in elements */
};

/* Throws an Error whose `code` is the errno by name; the message says which call failed. */
static napi_value throw_errno(napi_env env, int err, const char *call) {
  char text[160];
  snprintf(text, sizeof text, "%s: %s", call, strerror(err));
  napi_throw_error(env, uv_err_name(-err), text);
  return NULL;
}

static napi_value throw_argument(napi_env env, const char *text) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_VALUE", text);
  return NULL;
}

static bool get_named(napi_env env, napi_value object, const char *name, napi_value *value) {
  bool has = false;
  return napi_has_named_property(env, object, name, &has) == napi_ok && has &&
         napi_get_named_property(env, object, name, value) == napi_ok;
}

static bool get_function_ref(napi_env env, napi_value object, const char *name, napi_ref *ref) {
  napi_value value;
  napi_valuetype type;
  return get_named(env, object, name, &value) && napi_typeof(env, value, &type) == napi_ok && type == napi_function &&
         napi_create_reference(env, value, 1, ref) == napi_ok;
}

static bool within(const struct memory *m, const uint8_t *data) {
  while (m != NULL && (data < m->data || data >= m->data + m->len)) m = m->next;
  return m != NULL;
}

/* Registers the typed array `name`: of this type, with at least this many elements, on one of these memories. */
static bool get_array(napi_env env, const struct memory *memories, napi_value object, const char *name, napi_typedarray_type wanted,
                      size_t min, struct array *a) {
  napi_value value;
  napi_typedarray_type type;
  bool is = false;
  void *data;
  if (!get_named(env, object, name, &value) || napi_is_typedarray(env, value, &is) != napi_ok || !is) return false;
  if (napi_get_typedarray_info(env, value, &type, &a->len, &data, NULL, NULL) != napi_ok) return false;
  if (type != wanted || a->len < min || a->len > INT32_MAX || data == NULL || !within(memories, data)) return false;
  a->data = data;
  return napi_create_reference(env, value, 1, &a->ref) == napi_ok;
}

static void drop_ref(napi_env env, napi_ref *ref) {
  if (*ref != NULL) napi_delete_reference(env, *ref);
  *ref = NULL;
}

#endif
