k create deployment d1 --image=nginx --image=busybox --replicas=0
k create deployment d2 --image=nginx --dry-run=server -o yaml
k create deployment Bad_Name --image=nginx
k create deployment d1 --image=nginx
k create service clusterip s1 --tcp=80:8080
k create service nodeport s2 --tcp=80
k create service loadbalancer s3 --tcp=80
k create service externalname s4 --external-name=example.com
k create service clusterip s5 --clusterip=None
k create ingress i1 --rule=foo.com/bar=svc1:8080,tls=secret --rule='foo.com/*=svc2:http' --annotation a=b --class=x
k create cronjob c1 --image=busybox --schedule='0 0 1 1 *' -- date
k create cronjob c2 --image=busybox --schedule='nonsense'
k create role r1 --verb=get,list --resource=pods --resource-name=x
k create role r2 --verb=get --resource=deployments.apps,foo
k create rolebinding rb1 --role=r1 --serviceaccount=$NS:default
k create clusterrole $NS-cr --verb='*' --resource=pods --dry-run=server -o yaml
k create clusterrolebinding $NS-crb --clusterrole=view --user=u1 --group=g1 --dry-run=server -o yaml
k create quota q1 --hard=pods=50,services=30
k create quota q2 --hard=pods=2 --scopes=BestEffort
k create pdb p1 --selector=app=d1 --min-available=1
k create pdb p2 --selector=app=d1 --max-unavailable=50%
k create priorityclass $NS-pc --value=100 --description=d --dry-run=server -o yaml
k create priorityclass $NS-pc --value=2000000000
k create serviceaccount sa1
k create token sa1 | cut -c1-2
k create token sa1 --duration=5m
k create token nope
k create secret generic g1 --from-literal=a=b --type=x/y
k create secret docker-registry g3 --docker-username=u --docker-password=p --docker-email=e@x
k create secret tls g4 --cert=/nope --key=/nope
k create secret generic g1
k create configmap cm1 --from-literal=a=b --from-literal=c=d
k create configmap cm1 --from-literal=a=b
k create namespace $NS
k create -f - <<< '{"apiVersion":"v1","kind":"ConfigMap"}'
k create -f - <<< '{"apiVersion":"v9","kind":"ConfigMap","metadata":{"name":"x"}}'
k create -f - <<< '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"daat":{}}'
k create --validate=warn -f - <<< '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x1"},"daat":{}}'
k create --validate=ignore -f - <<< '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x2"},"daat":{}}'
k create -f - <<< 'nonsense'
k create -f - <<< 'a: b: c'
k wait --for=jsonpath='{.status.hard.pods}'=50 quota/q1 --timeout=30s
k get deploy,svc,ing,cj,role,rolebinding,pdb,sa,secret
k get svc,ing,cj,role,rolebinding,pdb -o wide
k get quota
k describe svc --show-events=false
k describe ing
k describe role
k describe rolebinding
k describe secret
k get svc,ing,role,rolebinding,sa -o yaml
k auth reconcile -f - <<< '{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r1"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","watch"]}]}'
k get role r1 -o yaml
k autoscale deployment d1 --min=2 --max=5
k delete hpa d1
k delete svc,ing,cj,role,rolebinding,quota,pdb --all
k delete sa sa1
k delete secret g1 g3
k delete deploy d1
