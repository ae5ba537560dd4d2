{{- define "energex-cache.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "energex-cache.fullname" -}}
{{- $name := include "energex-cache.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "energex-cache.selectorLabels" -}}
app.kubernetes.io/name: {{ include "energex-cache.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "energex-cache.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "energex-cache.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "energex-cache.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "energex-cache.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "energex-cache.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* A setting as the text of an environment variable. Numbers of values are floating-point: 1000000 would become 1e+06. */}}
{{- define "energex-cache.settingText" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{- define "energex-cache.env" -}}
{{- range $name, $value := .Values.settings }}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (eq $value ""))) }}
- name: {{ $name }}
  value: {{ include "energex-cache.settingText" $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $reference := .Values.secrets }}
- name: {{ $name }}_FILE
  value: /run/secrets/energex-cache/{{ $name }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* All secrets of the service as files of one volume. */}}
{{- define "energex-cache.secretSources" -}}
{{- range $name, $reference := .Values.secrets }}
- secret:
    name: {{ $reference.name }}
    items:
      - key: {{ $reference.key }}
        path: {{ $name }}
{{- end }}
{{- end }}

{{/* SIGTERM, SHUTDOWN_TIMEOUT_MS, up to two seconds to close everything; then three more before anybody is killed. */}}
{{- define "energex-cache.gracePeriod" -}}
{{- if .Values.terminationGracePeriodSeconds }}
{{- int64 .Values.terminationGracePeriodSeconds }}
{{- else }}
{{- add (int64 .Values.preStopSeconds) (ceil (divf .Values.settings.SHUTDOWN_TIMEOUT_MS 1000) | int64) 5 }}
{{- end }}
{{- end }}

{{- define "energex-cache.requireServers" -}}
{{- $s := .Values.settings }}
{{- $x := .Values.secrets }}
{{- if not (or $s.REDIS_HOST $s.REDIS_SENTINELS $s.REDIS_CLUSTER_NODES $x.REDIS_URL) }}
{{- fail "settings.REDIS_HOST must be given (or REDIS_SENTINELS, REDIS_CLUSTER_NODES, or secrets.REDIS_URL)" }}
{{- end }}
{{- if not (or $s.DB_HOST $x.DATABASE_URL) }}
{{- fail "settings.DB_HOST must be given (or secrets.DATABASE_URL)" }}
{{- end }}
{{- end }}

{{- define "energex-cache.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# The files of the secrets are for this group.
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "energex-cache.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
