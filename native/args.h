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

/* A typed array that JavaScript registered. */
struct array {
  napi_ref ref;
  napi_typedarray_type type;
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

/* Registers the typed array `name`: of this type, with at least this many elements. */
static bool get_array(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t min, struct array *a) {
  napi_value value;
  bool is = false;
  void *data;
  if (!get_named(env, object, name, &value) || napi_is_typedarray(env, value, &is) != napi_ok || !is) return false;
  if (napi_get_typedarray_info(env, value, &a->type, &a->len, &data, NULL, NULL) != napi_ok) return false;
  if (a->type != type || a->len < min || a->len > INT32_MAX || data == NULL) return false;
  a->data = data;
  return napi_create_reference(env, value, 1, &a->ref) == napi_ok;
}

/* True while the array is still where it was and as long as it was. */
static bool array_valid(napi_env env, const struct array *a) {
  napi_value value;
  size_t len = 0;
  void *data = NULL;
  return napi_get_reference_value(env, a->ref, &value) == napi_ok && value != NULL &&
         napi_get_typedarray_info(env, value, NULL, &len, &data, NULL, NULL) == napi_ok && data == a->data && len == a->len;
}

static void drop_ref(napi_env env, napi_ref *ref) {
  if (*ref != NULL) napi_delete_reference(env, *ref);
  *ref = NULL;
}

#endif
