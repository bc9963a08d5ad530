{{/* Folders, never subPath: a file of a subPath is not updated. */}}
{{- define "mintonce.volumeMounts" -}}
- {name: config, mountPath: /etc/mintonce, readOnly: true}
{{- if include "mintonce.policyConfigMap" . }}
- {name: policy, mountPath: /etc/mintonce-policy, readOnly: true}
{{- end }}
- {name: secrets, mountPath: /run/secrets/mintonce, readOnly: true}
{{- if include "mintonce.tlsSecret" . }}
- {name: tls, mountPath: /run/secrets/mintonce-tls, readOnly: true}
{{- end }}
{{- if .Values.tls.clientCA.existingConfigMap }}
- {name: callers, mountPath: /etc/mintonce-callers, readOnly: true}
{{- end }}
{{- if and .Values.serviceAccountTokens.enabled .Values.serviceAccountTokens.jwks.existingConfigMap }}
- {name: jwks, mountPath: /etc/mintonce-jwks, readOnly: true}
{{- end }}
{{- if include "mintonce.fetchesKeysInCluster" . }}
- {name: cluster, mountPath: /run/secrets/mintonce-cluster, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Secrets are root's files of mode 0440 for fsGroup: the server accepts that below /run/secrets. */}}
{{- define "mintonce.volumes" -}}
- name: config
  configMap:
    name: {{ .Values.existingConfigMap | default (include "mintonce.fullname" .) }}
{{- with include "mintonce.policyConfigMap" . }}
- name: policy
  configMap:
    name: {{ . }}
{{- end }}
- name: secrets
  secret:
    secretName: {{ required "secrets.existingSecret is required: a Secret with redis-url, sealing.toml and the clients' secrets. See docs/operating/kubernetes.md." .Values.secrets.existingSecret }}
    defaultMode: 0440
    {{- with .Values.secrets.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- with include "mintonce.tlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.tls.clientCA.existingConfigMap }}
- name: callers
  configMap:
    name: {{ . }}
{{- end }}
{{- if and .Values.serviceAccountTokens.enabled .Values.serviceAccountTokens.jwks.existingConfigMap }}
- name: jwks
  configMap:
    name: {{ .Values.serviceAccountTokens.jwks.existingConfigMap }}
{{- end }}
{{- if include "mintonce.fetchesKeysInCluster" . }}
# A token for the API server and no more: the service account has no rights but to read the public keys.
- name: cluster
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 600
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
