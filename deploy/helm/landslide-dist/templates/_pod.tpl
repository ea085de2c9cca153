{{- define "landslide-dist.memory" -}}
{{ round (mulf . 1024.0) 0 | int64 }}Mi
{{- end }}

{{/* What a container may do, the same for all. */}}
{{- define "landslide-dist.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Whom a pod belongs to and where it runs, the same for all. */}}
{{- define "landslide-dist.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.run_as_user | int64 }}
  fsGroup: {{ .Values.run_as_user | int64 }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.service_account }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: {{ not (empty .Values.service_account) }}
{{- with .Values.pipeline.node_selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pipeline.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Environment: {root, own}; what the pod needs stands once, in place of a user's. */}}
{{- define "landslide-dist.env" -}}
{{- $names := list "HOME" "NUMBA_CACHE_DIR" -}}
{{- range .own }}{{ $names = append $names .name }}{{ end -}}
env:
{{- range $name, $value := .root.Values.env }}
{{- if not (has $name $names) }}
  - name: {{ $name }}
    value: {{ $value | quote }}
{{- end }}
{{- end }}
  # Home and Numba's cache would lie on the file system that is read-only.
  - name: HOME
    value: /tmp
  - name: NUMBA_CACHE_DIR
    value: /tmp/numba
{{- range .own }}
  - name: {{ .name }}
    value: {{ .value | quote }}
{{- end }}
envFrom:
{{- range .root.Values.secrets }}
  - secretRef:
      name: {{ . }}
{{- else }} []
{{- end }}
{{- end }}

{{/*
Words of one command as a JSON list: {root, step, words}. Training and prediction are processes of
torchrun, one a GPU or share of the cores, over all pods of the step.
*/}}
{{- define "landslide-dist.words" -}}
{{- $values := .root.Values -}}
{{- $size := get $values.pipeline .step.size -}}
{{- $words := concat (list "landslide-dist" (first .words) "/config/run.yaml") (rest .words) -}}
{{- if has (first .words) (include "landslide-dist.onDask" .root | fromJsonArray) -}}
  {{- $words = concat $words (list "--cluster" "/config/cluster.yaml") -}}
{{- end -}}
{{- range $values.settings -}}
  {{- $words = concat $words (list "--set" .) -}}
{{- end -}}
{{- if has .step.size (list "train" "predict") -}}
  {{- $words = concat $words (list
        "--set" (printf "training.num_nodes=%d" (int $size.nodes))
        "--set" (printf "training.devices=%d" (int $size.processes))) -}}
  {{- $job := include "landslide-dist.jobName" .step -}}
  {{- $words = concat (list
        "python" "/config/launch.py"
        (printf "--nnodes=%d" (int $size.nodes))
        (printf "--nproc-per-node=%d" (int $size.processes))
        "--node-rank=$(JOB_COMPLETION_INDEX)"
        (printf "--master-addr=%s-%s-0-0.%s" $values.name $job $values.name)
        "--master-port=29500"
        (printf "--shutdown-timeout=%d" (sub (include "landslide-dist.graceSeconds" .root | int) 10))
        "--no-python") $words -}}
{{- else if .step.parts -}}
  {{- /* Several events have what they share in a place of its own. */ -}}
  {{- $prefix := ternary "common." "" (hasKey (fromYaml $values.run) "events") -}}
  {{- $words = concat $words (list
        "--set" (printf "%straining.devices=%d" $prefix (int $size.processes))
        "--part" (printf "$(JOB_COMPLETION_INDEX)/%d" (int .step.parts))) -}}
{{- end -}}
{{- toJson $words -}}
{{- end }}

{{/* From the notice to the end of a pod: time for a step and for the state to be written. */}}
{{- define "landslide-dist.graceSeconds" -}}120{{- end }}

{{/* One container: {root, step, words, name}. */}}
{{- define "landslide-dist.container" -}}
{{- $values := .root.Values -}}
{{- $size := get $values.pipeline .step.size -}}
{{- $words := include "landslide-dist.words" . | fromJsonArray -}}
name: {{ .name }}
image: {{ $values.image }}
command: [{{ first $words | quote }}]
args:
  {{- rest $words | toYaml | nindent 2 }}
workingDir: /work
{{ include "landslide-dist.env" (dict "root" .root "own" (list
     (dict "name" "OMP_WAIT_POLICY" "value" "PASSIVE")
     (dict "name" "OMP_NUM_THREADS" "value" (div (int $size.cores) (int $size.processes) | toString)))) }}
# Requested = limited: a pod that is promised less than it uses is the first to be evicted.
resources:
  {{- $limits := dict "cpu" ($size.cores | int | toString) "memory" (include "landslide-dist.memory" $size.memory_gib) }}
  {{- if $size.gpus }}{{ $_ := set $limits $values.pipeline.gpu_resource ($size.gpus | int | toString) }}{{ end }}
  requests:
    {{- toYaml $limits | nindent 4 }}
  limits:
    {{- toYaml $limits | nindent 4 }}
volumeMounts:
  - {name: scratch, mountPath: /tmp}
  - {name: shared-memory, mountPath: /dev/shm}
  - {name: work, mountPath: /work}
  - {name: config, mountPath: /config, readOnly: true}
securityContext:
  {{- include "landslide-dist.containerSecurity" . | nindent 2 }}
{{- end }}

{{/* Pod of a step: {root, step}. Its commands are containers that run one by one. */}}
{{- define "landslide-dist.podSpec" -}}
{{- $job := include "landslide-dist.jobName" .step -}}
{{ include "landslide-dist.podSecurity" .root }}
restartPolicy: Never
terminationGracePeriodSeconds: {{ include "landslide-dist.graceSeconds" .root }}
# As process 1 of a container a command would not see the signal that ends it.
shareProcessNamespace: true
{{- with initial .step.commands }}
initContainers:
{{- range $number, $words := . }}
  -
    {{- include "landslide-dist.container" (dict "root" $.root "step" $.step "words" $words "name" (printf "%s-%d" $job $number)) | nindent 4 }}
{{- end }}
{{- end }}
containers:
  -
    {{- include "landslide-dist.container" (dict "root" .root "step" .step "words" (last .step.commands) "name" $job) | nindent 4 }}
volumes:
  - name: scratch
    emptyDir: {}
  - name: shared-memory
    emptyDir:
      medium: Memory
      sizeLimit: {{ include "landslide-dist.memory" .root.Values.pipeline.shared_memory_gib }}
  - name: work
    persistentVolumeClaim:
      claimName: {{ .root.Values.pipeline.claim }}
  - name: config
    configMap:
      name: {{ .root.Values.name }}-run
{{- end }}
