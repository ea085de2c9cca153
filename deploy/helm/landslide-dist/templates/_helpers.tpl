{{/* Labels of every resource. */}}
{{- define "landslide-dist.labels" -}}
{{ include "landslide-dist.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Labels that tell the pods of this run from those of another. */}}
{{- define "landslide-dist.selector" -}}
app.kubernetes.io/name: landslide-dist
app.kubernetes.io/instance: {{ .Values.name }}
{{- end }}

{{- define "landslide-dist.metadata" -}}
namespace: {{ .Values.namespace | default .Release.Namespace }}
labels:
  {{- include "landslide-dist.labels" . | nindent 2 }}
{{- end }}

{{/* Commands that Dask workers can help with. */}}
{{- define "landslide-dist.onDask" -}}
{{- list "ingest" "derive" | toJson -}}
{{- end }}

{{/* Not empty where a step calls one of them. */}}
{{- define "landslide-dist.hasDask" -}}
{{- $names := include "landslide-dist.onDask" . | fromJsonArray -}}
{{- range .Values.steps -}}
  {{- range .commands -}}
    {{- if has (first .) $names }}yes{{ end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Name of a step's job. Kubeflow Trainer knows the training by the name "node". */}}
{{- define "landslide-dist.jobName" -}}
{{- ternary "node" .name (eq .size "train") -}}
{{- end }}

{{/* Mistakes that a schema cannot see; each is one line. */}}
{{- define "landslide-dist.check" -}}
{{- $_ := required "run is missing: give --set-file run=run.yaml" .Values.run -}}
{{- $_ = required "image is missing: give the image of this package" .Values.image -}}
{{- $names := list -}}
{{- range $step := .Values.steps -}}
  {{- $size := get $.Values.pipeline .size -}}
  {{- $name := include "landslide-dist.jobName" . -}}
  {{- if has $name $names -}}
    {{- printf "two of the steps make the job %s: a step of size train, and any name, is there once" $name | fail -}}
  {{- end -}}
  {{- $names = append $names $name -}}
  {{- if ne (eq .size "experiment") (gt (int .parts) 0) -}}
    {{- printf "step %s of size %s has parts %d: those of size experiment, and only they, have 1 or more" .name .size (int .parts) | fail -}}
  {{- end -}}
  {{- if and (gt (int $size.nodes) 1) (not (has .size (list "train" "predict"))) -}}
    {{- printf "pipeline.%s.nodes is %d: only train and predict take several" .size (int $size.nodes) | fail -}}
  {{- end -}}
  {{- range .commands -}}
    {{- if and (has (first .) (include "landslide-dist.onDask" $ | fromJsonArray)) (ne $step.size "prepare") -}}
      {{- printf "step %s calls %s: only pods of size prepare reach the Dask cluster" $name (first .) | fail -}}
    {{- end -}}
  {{- end -}}
  {{- if mod (int $size.cores) (int $size.processes) -}}
    {{- printf "pipeline.%s.cores %d is not a multiple of processes %d: every process gets the same number" .size (int $size.cores) (int $size.processes) | fail -}}
  {{- end -}}
  {{- if and $size.gpus (ne (int $size.gpus) (int $size.processes)) -}}
    {{- printf "pipeline.%s.gpus %d and processes %d differ: a process drives one GPU" .size (int $size.gpus) (int $size.processes) | fail -}}
  {{- end -}}
{{- end -}}
{{- end }}
