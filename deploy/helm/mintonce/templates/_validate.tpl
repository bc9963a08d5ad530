{{/* What would start, and then not work, or not as intended. Says what to do. */}}
{{- define "mintonce.validate" -}}
{{- $config := include "mintonce.config" . | fromYaml -}}
{{- if not .Values.existingConfigMap -}}
{{- if not $config.clients -}}
{{- fail "config.clients is empty: register an OAuth client, config.clients.NAME, with its issuer in config.issuers. See docs/reference/settings.md." -}}
{{- end -}}
{{- if not (or $config.tls $config.insecure_listen) -}}
{{- fail "There is no TLS: set tls.existingSecret or tls.certManager.enabled; or, to try it without, config.insecure_listen: true." -}}
{{- end -}}
{{- $authenticates := or $config.jwt_issuers $config.api_keys_file (and $config.tls (dig "client_ca_file" "" ($config.tls | default dict))) -}}
{{- if not (or $authenticates $config.insecure_listen) -}}
{{- fail "Callers cannot prove who they are: set serviceAccountTokens.enabled, tls.clientCA.existingConfigMap, config.jwt_issuers or config.api_keys_file." -}}
{{- end -}}
{{- if and $authenticates (not $config.policy_file) -}}
{{- fail "There is no policy: set policy.rules or policy.existingConfigMap. It says which callers may get which tokens." -}}
{{- end -}}
{{- if not $config.health_listen -}}
{{- fail "config.health_listen is missing: the probes need it." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled (not (include "mintonce.ports" . | fromJson).http) -}}
{{- fail "metrics.podMonitor.enabled, and config.http.listen is not set: there is nothing to scrape." -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name is missing: name an Issuer or ClusterIssuer of cert-manager." -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.redis.to) -}}
{{- fail "networkPolicy.redis.to is empty: say where Redis is, or the server cannot reach it. Example: [{podSelector: {matchLabels: {app.kubernetes.io/name: valkey}}}]" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (include "mintonce.fetchesKeysInCluster" .) (not .Values.networkPolicy.apiServer.to) -}}
{{- fail "networkPolicy.apiServer.to is empty: the server fetches the cluster's keys from the API server. Say where it is, or set serviceAccountTokens.jwks.existingConfigMap." -}}
{{- end -}}
{{- end -}}
