{{- define "codewords.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "codewords.selector" -}}
app: {{ include "codewords.name" . }}
{{- end -}}

{{- define "codewords.labels" -}}
{{ include "codewords.selector" . }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "codewords.secret" -}}
{{- .Values.existingSecret | default (include "codewords.name" .) -}}
{{- end -}}

{{- define "codewords.hosts" -}}
{{- $name := include "codewords.name" . -}}
{{- concat (list $name (printf "%s.%s.svc" $name .Release.Namespace)) .Values.allowedHosts | toJson -}}
{{- end -}}
