k apply -f "$DEFINITION"
k wait --for=condition=Established "crd/$PLURAL.typed.example.com" --timeout=30s
k get crd "$PLURAL.typed.example.com" -o jsonpath='{.spec}'
k api-resources --api-group=typed.example.com
for _ in {1..150}; do k explain $PLURAL.spec >/dev/null 2>&1 && break; sleep 0.2; done
k explain $PLURAL.spec --recursive
k explain $PLURAL.nope
k create -f - <<< '{"apiVersion":"typed.example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":2}}'
k create -f - <<< '{"apiVersion":"typed.example.com/v1","kind":"Widget","metadata":{"name":"b"},"spec":{"size":0}}'
k create -f - <<< '{"apiVersion":"typed.example.com/v1","kind":"Widget","metadata":{"name":"b"},"spec":{"size":"x"}}'
k create -f - <<< '{"apiVersion":"typed.example.com/v1","kind":"Widget","metadata":{"name":"b"},"spec":{"siez":3}}'
k create -f - <<< '{"apiVersion":"typed.example.com/v2","kind":"Widget","metadata":{"name":"b"}}'
k get $PLURAL
k get $PLURAL -o wide
k get $PLURAL a -o yaml
k describe $PLURAL a
k scale $PLURAL/a --replicas=4
k get $PLURAL a -o jsonpath='{.spec.size}'
k patch $PLURAL a --type=merge -p '{"spec":{"size":5}}'
k patch $PLURAL a -p '{"spec":{"size":5}}'
k patch $PLURAL a --subresource=status --type=merge -p '{"status":{"seen":5}}'
k get $PLURAL
k apply --server-side -f - <<< '{"apiVersion":"typed.example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":6}}'
k wait --for=jsonpath='{.status.seen}'=5 $PLURAL/a --timeout=10s
k label $PLURAL a x=y
k delete $PLURAL --all
k delete crd "$PLURAL.typed.example.com"
k get $PLURAL
