k apply -f "$MANIFEST"
k rollout status deploy/app --timeout=60s | tail -1
k wait --for=jsonpath='{.status.availableReplicas}'=3 deploy/app --timeout=60s
k apply -f "$MANIFEST"
k apply --dry-run=server -f "$CHANGED"
k diff -f "$CHANGED" | grep '^[-+] '
k diff -f "$MANIFEST"
k apply -f "$CHANGED" -o name
k rollout status deploy/app --timeout=60s | tail -1
k apply view-last-applied deploy/app
k apply set-last-applied -f "$MANIFEST"
k apply --server-side -f "$MANIFEST"
k apply --server-side --force-conflicts -f "$MANIFEST"
k apply --server-side --field-manager=other -f "$CHANGED"
k apply --server-side --dry-run=server --field-manager=other --force-conflicts -f "$CHANGED"
k rollout status deploy/app --timeout=60s | tail -1
k rollout pause deploy/app
k rollout pause deploy/app
k rollout restart deploy/app
k rollout undo deploy/app
EDITOR='sed -i s/nginx:1/nginx:3/' k edit deploy app
EDITOR=true k edit deploy app
k patch deploy app -p '{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"nginx:4"}]}}}}'
k patch deploy app --type=json -p '[{"op":"test","path":"/spec/replicas","value":5}]'
k patch deploy app --type=json -p '[{"op":"remove","path":"/spec/nope"}]'
k patch deploy app --type=merge -p '{"spec":{"selector":{"matchLabels":{"x":"y"}}}}'
k patch deploy nope -p '{}'
k patch deploy app -p 'x'
k get deploy app -o json | sed 's/"resourceVersion": "[0-9]*"/"resourceVersion": "1"/' | k replace -f -
k label deploy app x=y
k label deploy app x=y
k label deploy app x=z
k label deploy app x=z --overwrite
k label deploy app x-
k label deploy app x-
k label deploy app 'bad key=y'
k annotate deploy app a=b
k annotate deploy app a=c
k annotate deploy app a-
k set image deploy/app main=nginx:6
k set image deploy/app nope=nginx:6
k set env deploy/app A=2 B=3
k set env deploy/app --list
k set resources deploy/app --limits=cpu=200m,memory=512Mi --requests=cpu=100m
k set resources deploy/app --limits=cpu=bad
k set serviceaccount deploy/app default
k rollout history deploy/app
k rollout resume deploy/app
k rollout resume deploy/app
k rollout status deploy/app --timeout=60s | tail -1
k rollout history deploy/app --revision=1
k rollout history deploy/app --revision=99
k rollout undo deploy/app --to-revision=99
k rollout undo deploy/app --dry-run=server
k scale deploy/app --replicas=2 --current-replicas=7
k scale deploy/app --replicas=-1
k scale deploy/nope --replicas=1
k scale deploy/app --replicas=2
k wait --for=jsonpath='{.status.replicas}'=2 deploy/app --timeout=60s
k expose deploy app --port=80 --target-port=8080 --name=svc
k expose deploy app --port=80 --name=svc
k expose pod nope --port=80
k replace --force -f "$MANIFEST"
k rollout status deploy/app --timeout=60s | tail -1
k delete deploy app --cascade=orphan
k get rs -l app=app --no-headers | awk '{print $2}'
k delete rs -l app=app --cascade=foreground | wc -l
k get pods
k delete pod nope
k delete pod nope --ignore-not-found
k delete svc svc --dry-run=server
k delete svc svc --now
k delete deploy app x y
