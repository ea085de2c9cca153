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

{{/* The steps that have commands, in order: {"steps": [{"name": ..., "commands": [[...]]}]} */}}
{{- define "landslide-dist.steps" -}}
{{- $defaults := dict
      "prepare" (list (list "ingest") (list "derive") (list "split"))
      "train" (list (list "train"))
      "predict" (list (list "predict"))
      "report" (list (list "evaluate") (list "report")) -}}
{{- $order := list "prepare" "train" "predict" "report" -}}
{{- if .Values.parts -}}
  {{- $defaults = dict
        "prepare" (list (list "ingest") (list "derive") (list "experiment" "--prepare"))
        "experiment" (list (list "experiment"))
        "report" (list (list "experiment")) -}}
  {{- $order = list "prepare" "experiment" "report" -}}
{{- end -}}
{{- range $name, $commands := .Values.commands -}}
  {{- if not (has $name $order) -}}
    {{- printf "commands.%s has no place here: the steps %s parts are %s" $name
          (ternary "with" "without" (gt (int $.Values.parts) 0)) (join ", " $order) | fail -}}
  {{- end -}}
{{- end -}}
{{- $steps := list -}}
{{- range $name := $order -}}
  {{- $commands := get $defaults $name -}}
  {{- if hasKey $.Values.commands $name -}}
    {{- $commands = get $.Values.commands $name -}}
  {{- end -}}
  {{- if $commands -}}
    {{- $steps = append $steps (dict "name" $name "commands" $commands) -}}
  {{- end -}}
{{- end -}}
{{- if not $steps -}}
  {{- fail "commands leave every step out: nothing to run" -}}
{{- end -}}
{{- dict "steps" $steps | toJson -}}
{{- end }}

{{/* Commands that Dask workers can help with. */}}
{{- define "landslide-dist.onDask" -}}
{{- list "ingest" "derive" | toJson -}}
{{- end }}

{{/* Not empty where a step calls one of them. */}}
{{- define "landslide-dist.hasDask" -}}
{{- $names := include "landslide-dist.onDask" . | fromJsonArray -}}
{{- range (include "landslide-dist.steps" . | fromJson).steps -}}
  {{- range .commands -}}
    {{- if has (first .) $names }}yes{{ end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/* Name of a step's job. Kubeflow Trainer knows the training by the name "node". */}}
{{- define "landslide-dist.jobName" -}}
{{- ternary "node" . (eq . "train") -}}
{{- end }}

{{/* Pods of a step: {root, name}. */}}
{{- define "landslide-dist.numPods" -}}
{{- if eq .name "experiment" -}}
  {{- .root.Values.parts | int -}}
{{- else if has .name (list "train" "predict") -}}
  {{- (get .root.Values.pipeline .name).nodes | int -}}
{{- else -}}
  1
{{- end -}}
{{- end }}

{{/* Mistakes that a schema cannot see; each is one line. */}}
{{- define "landslide-dist.check" -}}
{{- $_ := required "run is missing: give --set-file run=run.yaml" .Values.run -}}
{{- $_ = required "image is missing: give the image of this package" .Values.image -}}
{{- range (include "landslide-dist.steps" . | fromJson).steps -}}
  {{- $size := get $.Values.pipeline .name -}}
  {{- if and (gt (int $size.nodes) 1) (not (has .name (list "train" "predict"))) -}}
    {{- printf "pipeline.%s.nodes is %d: only train and predict take several" .name (int $size.nodes) | fail -}}
  {{- end -}}
  {{- if mod (int $size.cores) (int $size.processes) -}}
    {{- printf "pipeline.%s.cores %d is not a multiple of processes %d: every process gets the same number" .name (int $size.cores) (int $size.processes) | fail -}}
  {{- end -}}
  {{- if and $size.gpus (ne (int $size.gpus) (int $size.processes)) -}}
    {{- printf "pipeline.%s.gpus %d and processes %d differ: a process drives one GPU" .name (int $size.gpus) (int $size.processes) | fail -}}
  {{- end -}}
{{- end -}}
{{- end }}
