/* SPDX-License-Identifier: MIT */

/* --dump-schema: the schema in the words of JSON Schema (draft 7), for editors and other checks. */
#include <stdio.h>
#include <string.h>

#include "conf/schema.h"

/* Help texts and names are ours: quotes and backslashes are all there is to escape. */
static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

#define ONE_TEXT "{\"type\": [\"string\", \"number\", \"boolean\"]}"

/* A scalar that looks like a number or a truth value is one for JSON Schema, whatever it is for us.
 */
static const char *const type_texts[] = {
    [OPTION_FLAG] =
        "\"enum\": [true, false, \"on\", \"off\", \"yes\", \"no\", \"true\", \"false\"]",
    [OPTION_COUNT] = "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0}, "
                     "{\"type\": \"string\", \"pattern\": \"^[0-9]+$\"}]",
    [OPTION_SIZE] = "\"anyOf\": [{\"type\": \"number\", \"minimum\": 0}, {\"type\": \"string\", "
                    "\"pattern\": \"^[0-9.]+(B|K|KB|KiB|M|MB|MiB|G|GB|GiB)?$\"}]",
    [OPTION_TIME] = "\"anyOf\": [{\"type\": \"number\", \"minimum\": 0}, {\"type\": \"string\", "
                    "\"pattern\": \"^[0-9.e-]+(ms|s|m|min|h|d)?$\"}]",
    [OPTION_RATE] = "\"anyOf\": [{\"type\": \"number\", \"minimum\": 0}, {\"type\": \"string\", "
                    "\"pattern\": \"^[0-9.]+(/[smh])?(:[0-9.]+)?$\"}]",
    [OPTION_BYTE_RATE] =
        "\"anyOf\": [{\"type\": \"number\", \"minimum\": 0}, {\"type\": \"string\", "
        "\"pattern\": \"^[0-9.]+(B|K|KB|KiB|M|MB|MiB|G|GB|GiB)?(/[smh])?"
        "(:[0-9.]+(B|K|KB|KiB|M|MB|MiB|G|GB|GiB)?)?$\"}]",
    [OPTION_MODE] = "\"anyOf\": [{\"type\": \"integer\"}, "
                    "{\"type\": \"string\", \"pattern\": \"^[0-7]{1,5}$\"}]",
    [OPTION_TEXT] = "\"type\": [\"string\", \"number\", \"boolean\"], \"minLength\": 1",
    [OPTION_LIST] = "\"anyOf\": [" ONE_TEXT ", {\"type\": \"array\", \"items\": " ONE_TEXT "}]",
    [OPTION_REPEAT] = "\"anyOf\": [" ONE_TEXT ", {\"type\": \"array\", \"items\": " ONE_TEXT "}]",
    [OPTION_PAIRS] =
        "\"anyOf\": [{\"type\": \"string\", \"pattern\": \"=\"}, "
        "{\"type\": \"array\", \"items\": {\"type\": \"string\", \"pattern\": \"=\"}}, "
        "{\"type\": \"object\", \"additionalProperties\": " ONE_TEXT "}]",
    [OPTION_CHOICE] = NULL,
    [OPTION_ARGV] = "\"type\": \"array\", \"minItems\": 1, \"items\": " ONE_TEXT,
    [OPTION_NODES] = NULL,
};

/* What the structures are made of. */
static const struct structure {
    const char *name, *text;
} structures[] = {
    {"listen",
     "\"anyOf\": [" ONE_TEXT ", {\"$ref\": \"#/definitions/listen\"}, {\"type\": "
     "\"array\", \"items\": {\"anyOf\": [" ONE_TEXT ", {\"$ref\": \"#/definitions/listen\"}]}}]"},
    {"routes", "\"anyOf\": [{\"$ref\": \"#/definitions/route\"}, {\"type\": \"array\", "
               "\"items\": {\"$ref\": \"#/definitions/route\"}}]"},
    {"tls", "\"anyOf\": [{\"$ref\": \"#/definitions/tls\"}, {\"type\": \"array\", "
            "\"minItems\": 1, \"items\": {\"$ref\": \"#/definitions/tls\"}}]"},
    {"include", "\"anyOf\": [{\"type\": \"string\"}, "
                "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}]"},
};

static void print_type(FILE *out, const struct option_row *row)
{
    if (row->type == OPTION_CHOICE) {
        fputs("\"enum\": [", out);
        for (size_t i = 0; row->choices[i] != NULL; i++) {
            fputs(i > 0 ? ", " : "", out);
            print_string(out, row->choices[i]);
            if (strcmp(row->choices[i], "off") == 0) /* as YAML 1.1 reads it without quotes */
                fputs(", false", out);
            if (strcmp(row->choices[i], "on") == 0)
                fputs(", true", out);
        }
        fputs("]", out);
        return;
    }
    if (type_texts[row->type] != NULL)
        fputs(type_texts[row->type], out);
    for (size_t i = 0; i < sizeof structures / sizeof structures[0]; i++) {
        if (row->type == OPTION_NODES && strcmp(structures[i].name, row->name) == 0)
            fputs(structures[i].text, out);
    }
}

static void print_map(FILE *out, const struct conf_kinds *kinds, enum schema_map map,
                      const char *indent)
{
    const struct backend_ops *kind;
    const struct option_row *row;

    fprintf(out, "%s\"type\": \"object\",\n%s\"additionalProperties\": false,\n", indent, indent);
    fprintf(out, "%s\"properties\": {", indent);
    for (size_t i = 0; (row = schema_row(kinds, map, i, &kind)) != NULL; i++) {
        fprintf(out, "%s\n%s  ", i > 0 ? "," : "", indent);
        print_string(out, row->name);
        fputs(": {\"description\": ", out);
        print_string(out, row->help);
        fputs(", ", out);
        print_type(out, row);
        fputs("}", out);
    }
    fprintf(out, "\n%s}", indent);
}

/* A route has at least one of these. */
static void print_needs(FILE *out, const struct conf_kinds *kinds)
{
    fputs(",\n      \"anyOf\": [{\"required\": [\"to\"]}, {\"required\": [\"static\"]}", out);
    for (size_t i = 0; kinds->backends[i] != NULL; i++) {
        if (kinds->backends[i]->key == NULL)
            continue;
        fputs(", {\"required\": [", out);
        print_string(out, kinds->backends[i]->key);
        fputs("]}", out);
    }
    fputs("]", out);
}

void schema_print_json(const struct conf_kinds *kinds, FILE *out)
{
    fputs("{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
          "  \"title\": \"wsluice configuration\",\n",
          out);
    print_map(out, kinds, SCHEMA_TOP, "  ");
    fputs(",\n  \"definitions\": {\n    \"listen\": {\n", out);
    print_map(out, kinds, SCHEMA_LISTEN, "      ");
    fputs(",\n      \"required\": [\"address\"]\n    },\n    \"tls\": {\n", out);
    print_map(out, kinds, SCHEMA_CERT, "      ");
    fputs(",\n      \"required\": [\"cert\", \"key\"]\n    },\n    \"route\": {\n", out);
    print_map(out, kinds, SCHEMA_ROUTE, "      ");
    print_needs(out, kinds);
    fputs("\n    }\n  }\n}\n", out);
}
