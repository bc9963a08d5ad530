{{- define "mintonce.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "mintonce.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "mintonce.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mintonce.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mintonce.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mintonce.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mintonce.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "mintonce.selectorLabels" . }}
{{- end -}}

{{- define "mintonce.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mintonce.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mintonce.image" -}}
{{- $repository := required "image.repository is required. No image is published yet: build it with `docker build -f server/Dockerfile`, and push it to your registry." .Values.image.repository -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry $repository) $repository (ne $registry "") -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the server's certificate; empty without TLS. */}}
{{- define "mintonce.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "mintonce.fullname" .)) -}}
{{- else -}}
{{- .Values.tls.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* The ConfigMap with the policy; empty without one. */}}
{{- define "mintonce.policyConfigMap" -}}
{{- if .Values.policy.existingConfigMap -}}
{{- .Values.policy.existingConfigMap -}}
{{- else if .Values.policy.rules -}}
{{- printf "%s-policy" (include "mintonce.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Whether the server fetches the cluster's keys with a token of its own. */}}
{{- define "mintonce.fetchesKeysInCluster" -}}
{{- $tokens := .Values.serviceAccountTokens -}}
{{- if and $tokens.enabled (not $tokens.jwks.existingConfigMap) $tokens.jwks.inCluster -}}true{{- end -}}
{{- end -}}

{{/* All settings, as YAML: what the chart knows by itself, under what the values say. */}}
{{- define "mintonce.config" -}}
{{- $own := dict -}}
{{- if include "mintonce.policyConfigMap" . -}}
{{- $_ := set $own "policy_file" "/etc/mintonce-policy/policy.toml" -}}
{{- end -}}
{{- $tls := dict -}}
{{- if include "mintonce.tlsSecret" . -}}
{{- $_ := set $tls "certificate_file" "/run/secrets/mintonce-tls/tls.crt" -}}
{{- $_ := set $tls "key_file" "/run/secrets/mintonce-tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.clientCA.existingConfigMap -}}
{{- $_ := set $tls "client_ca_file" (printf "/etc/mintonce-callers/%s" .Values.tls.clientCA.key) -}}
{{- end -}}
{{- if $tls -}}{{- $_ := set $own "tls" $tls -}}{{- end -}}
{{- with .Values.serviceAccountTokens -}}
{{- if .enabled -}}
{{- $issuer := dict "issuer" .issuer "audiences" (list .audience) -}}
{{- if .jwks.existingConfigMap -}}
{{- $_ := set $issuer "jwks_file" (printf "/etc/mintonce-jwks/%s" .jwks.key) -}}
{{- else -}}
{{- $_ := set $issuer "jwks_url" .jwks.url -}}
{{- if .jwks.inCluster -}}
{{- $_ := set $issuer "jwks_bearer_file" "/run/secrets/mintonce-cluster/token" -}}
{{- $_ := set $issuer "ca_file" "/run/secrets/mintonce-cluster/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $own "jwt_issuers" (dict "cluster" $issuer) -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $own (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{/* The port of an address such as 0.0.0.0:50051; empty for none. */}}
{{- define "mintonce.port" -}}
{{- with . -}}{{- regexFind "[0-9]+$" . -}}{{- end -}}
{{- end -}}

{{/* The ports as JSON, by name: grpc, health, and perhaps bearer, http and token-endpoint. */}}
{{- define "mintonce.ports" -}}
{{- $config := include "mintonce.config" . | fromYaml -}}
{{- $ports := dict "grpc" (include "mintonce.port" $config.listen | int) "health" (include "mintonce.port" $config.health_listen | int) -}}
{{- with include "mintonce.port" $config.bearer_listen -}}{{- $_ := set $ports "bearer" (. | int) -}}{{- end -}}
{{- with include "mintonce.port" ($config.http | default dict).listen -}}{{- $_ := set $ports "http" (. | int) -}}{{- end -}}
{{- with include "mintonce.port" ($config.token_endpoint | default dict).listen -}}{{- $_ := set $ports "token-endpoint" (. | int) -}}{{- end -}}
{{- if .Values.existingConfigMap -}}
{{- $ports = dict "grpc" 50051 "health" 50053 "http" 9464 -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}

{{/* Seconds of a duration of the settings: a number, or text such as "500ms", "30s", "5m". Rounded up. */}}
{{- define "mintonce.seconds" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+" $text | float64 -}}
{{- $unit := regexFind "[a-z]*$" $text -}}
{{- $factor := get (dict "" 1.0 "s" 1.0 "ms" 0.001 "m" 60.0 "h" 3600.0 "d" 86400.0) $unit -}}
{{- mulf $number $factor | ceil | int -}}
{{- end -}}

{{- define "mintonce.gracePeriod" -}}
{{- $config := include "mintonce.config" . | fromYaml -}}
{{- $least := add .Values.preStopSeconds (include "mintonce.seconds" ($config.drain_timeout | default 10) | int) 5 | int -}}
{{- $said := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $said -}}
{{- $least -}}
{{- else if lt (int $said) $least -}}
{{- fail (printf "terminationGracePeriodSeconds is less than preStopSeconds + config.drain_timeout + 5 = %d: calls in progress would be cut off. Leave it out, or set at least that." $least) -}}
{{- else -}}
{{- int $said -}}
{{- end -}}
{{- end -}}
