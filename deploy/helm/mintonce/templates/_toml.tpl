{{/*
TOML of a map. Helm's own toToml writes each whole number with a point, and large ones with an exponent.
A string, number or truth value of JSON is one of TOML, too.
*/}}
{{- define "mintonce.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{- define "mintonce.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ include "mintonce.toml.key" $key }} = {{ include "mintonce.toml.value" (get $ $key) }}{{ end -}} }
{{- else if kindIs "slice" . -}}
[{{ range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "mintonce.toml.value" $item }}{{ end }}]
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}

{{/* Arguments: path, a list of keys; table, a map. First its own values, then the tables in it. */}}
{{- define "mintonce.toml.table" -}}
{{- range $key := keys .table | sortAlpha }}
{{- $value := get $.table $key }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "mintonce.toml.key" $key }} = {{ include "mintonce.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key := keys .table | sortAlpha }}
{{- $value := get $.table $key }}
{{- if kindIs "map" $value }}
{{- $path := append $.path (include "mintonce.toml.key" $key) }}
{{- /* A table that holds only tables needs no line of its own. */}}
{{- $own := empty $value }}
{{- range $value }}{{ if not (kindIs "map" .) }}{{ $own = true }}{{ end }}{{ end }}
{{- if $own }}

[{{ join "." $path }}]
{{- end }}
{{- include "mintonce.toml.table" (dict "path" $path "table" $value) }}
{{- end }}
{{- end }}
{{- end -}}
