k create deployment web --image=nginx --replicas=2 --port=80
k rollout status deployment/web --timeout=60s | tail -1
k wait --for=jsonpath='{.status.availableReplicas}'=2 deployment/web --timeout=60s
k get deployment web
k get deployment web -o wide
k get deployment web -o yaml
k get deployment web -o json
k get deployment web -o name
k get deployment web -o jsonpath='{.status.readyReplicas}{"\n"}'
k get deployment web -o custom-columns=N:.metadata.name,R:.spec.replicas
k get deployment web -o go-template='{{.metadata.name}}'
k get deploy,rs,pods --show-labels
k get pods -o wide
k get all
k get rs -o wide
k get pods --sort-by=.metadata.name -o name
k get pods --field-selector=status.phase=Running
k get pods --field-selector=status.phase=Pending
k get pods --field-selector=spec.foo=bar
k get pods --chunk-size=1
k get pods -l app=web,foo
k get pods -l 'app in (web,x)'
k get pods -l 'app=='
k get pods -L app
k get pods -A --field-selector metadata.namespace=$NS
k get pod nope
k get nope
k get deployment.v1.apps/web
k get deployment.v1beta1.apps/web
k get deploy web nope
k get -f /nope
k get deploy -o wrong
k get --raw /healthz
k get --raw /nope
k get --raw /api/v1/nope
k get --raw /apis/nope/v1
k get --raw /api/v2
k describe deployment web
k describe rs
k describe ns $NS
k describe deploy nope
k get ns $NS -o yaml
k describe sa default
k cluster-info
k api-resources --api-group=apps
k api-resources --categories=all
k explain nope
k explain deploy.nope
k get deploy web --watch-only --request-timeout=1s
k auth can-i list pods
k auth can-i get nopes
k auth whoami
k get pods --token=nonsense
k wait --for=condition=Nope deploy/web --timeout=1s
k wait --for=delete deploy/nope --timeout=1s
k top pods
k top nodes
k logs nope
k exec nope -- date
k cp /etc/hostname nope:/tmp/x
k port-forward svc/nope 18080:80
k debug nope --image=busybox --target=main
k delete deployment web --cascade=foreground
k get all
