{{/*
The jobs of a run, one after another. What is done is found again on the claim, so that starting all
jobs anew goes on where they were: commands that are up to date end at once.
*/}}
{{- define "landslide-dist.jobSetSpec" -}}
network:
  enableDNSHostnames: true
failurePolicy:
  maxRestarts: {{ .Values.pipeline.max_restarts | int }}
  rules:
    # A user's mistake; a part that has used up its restarts.
    - name: stop
      action: FailJobSet
      onJobFailureReasons: [PodFailurePolicy, FailedIndexes]
replicatedJobs:
{{- $before := "" }}
{{- range .Values.steps }}
  {{- $job := include "landslide-dist.jobName" . }}
  {{- $step := dict "root" $ "step" . }}
  {{- $numNodes := (get $.Values.pipeline .size).nodes | int }}
  {{- $numPods := .parts | default $numNodes | int }}
  - name: {{ $job }}
    replicas: 1
    {{- with $before }}
    dependsOn:
      - {name: {{ . }}, status: Complete}
    {{- end }}
    template:
      {{- if eq .size "train" }}
      metadata:
        labels:
          trainer.kubeflow.org/trainjob-ancestor-step: trainer
      {{- end }}
      spec:
        completionMode: Indexed
        parallelism: {{ $numPods }}
        completions: {{ $numPods }}
        {{- if .parts }}
        backoffLimitPerIndex: {{ $.Values.pipeline.max_restarts | int }}
        {{- else }}
        backoffLimit: 0
        {{- end }}
        podFailurePolicy:
          rules:
            # A lost pod alone is made again. Processes that compute together end with any of them:
            # the job fails, and all jobs start anew.
            - action: {{ ternary "Count" "Ignore" (gt $numNodes 1) }}
              onPodConditions:
                - {type: DisruptionTarget, status: "True"}
            # The exit status of a user's mistake, which no restart mends.
            - action: FailJob
              onExitCodes:
                operator: In
                values: [2]
        template:
          metadata:
            labels:
              {{- include "landslide-dist.selector" $ | nindent 14 }}
              app.kubernetes.io/component: {{ .size }}
          spec:
            {{- include "landslide-dist.podSpec" $step | nindent 12 }}
  {{- $before = $job }}
{{- end }}
{{- end }}

{{/* Not empty where Kubeflow Trainer runs the jobs: it needs a training among them. */}}
{{- define "landslide-dist.isTrainJob" -}}
{{- if eq .Values.pipeline.trainer "trainjob" -}}
{{- range .Values.steps -}}
{{- if eq .size "train" }}yes{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}
