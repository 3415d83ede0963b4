"""CEL as Kubernetes has it: the language, optionals, and the libraries for strings, lists, quantities and more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kruise_rollouts.sandbox.cel.program import CelCompileError, CelError, compile_cel
from kruise_rollouts.sandbox.cel.values import Duration, Timestamp, parse_duration, show_duration

Json = Any


def evaluate(source: str, **variables: Json) -> Json:
    return compile_cel(source, variables).evaluate(variables)


TRUE = [
    # operators
    "1 + 2 * 3 == 7 && -7 / 2 == -3 && -7 % 2 == -1",
    "1 - -2 == 3 && 0x10 == 16 && 1u + 2u == 3u",
    "1.5 + 1.5 == 3.0 && 7.0 / 2.0 == 3.5",
    "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab' && [1] + [2] == [1, 2]",
    "1 < 2 && 1 <= 1.0 && 2u > 1 && 'a' < 'b' && false < true",
    "1 == 1.0 && 1u == 1 && 1 != true && '1' != 1",
    "[1, [2]] == [1.0, [2u]] && {'a': 1} == {'a': 1.0} && {'a': 1} != {'a': 1, 'b': 2}",
    "1 in [1, 2] && 'a' in {'a': 1} && !(3 in [])",
    "true ? true : 1 / 0 == 1",
    # errors lose against what decides
    "true || 1 / 0 == 1",
    "1 / 0 == 1 || true",
    "!(1 / 0 == 1 && false)",
    "[0, 1].exists(x, 1 / x == 1)",
    "!([0, 1].all(x, 1 / x == 2))",
    # macros
    "has({'a': 1}.a) && !has({'a': 1}.b)",
    "[1, 2].all(x, x > 0) && [1, 2].exists(x, x > 1) && [1, 2].exists_one(x, x > 1)",
    "[1, 2, 3].filter(x, x > 1) == [2, 3] && [1, 2].map(x, x * 2) == [2, 4]",
    "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
    "{'a': 1}.all(k, k == 'a') && {'a': 1}.map(k, k) == ['a']",
    "[5, 6].all(i, v, v == i + 5) && {'a': 1}.exists(k, v, k == 'a' && v == 1)",
    "[5, 6].transformList(i, v, i + v) == [5, 7] && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
    "[[1, 2], [3]].all(x, x.all(y, y > 0))",
    # strings
    r"'\u00e9\n' == 'é' + r'''" + "\n'''",
    "'a\"b' == \"a\\\"b\" && r'\\d' == '\\\\d' && '''a'b''' == \"a'b\"",
    "'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'hello'.contains('ell') && size('héé') == 3",
    "'hello'.matches('^h.*o$') && matches('x', 'x')",
    "'AbC'.lowerAscii() == 'abc' && 'aé'.upperAscii() == 'Aé' && ' a '.trim() == 'a'",
    "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b'",
    "'hello'.charAt(1) == 'e' && 'hello'.substring(1, 3) == 'el' && 'hello'.indexOf('l') == 2",
    "'hello'.lastIndexOf('l') == 3 && 'aa'.replace('a', 'b', 1) == 'ba' && 'abc'.reverse() == 'cba'",
    "'%s is %d, %.2f, %x'.format(['a', 3, 1.5, 255]) == 'a is 3, 1.50, ff'",
    "'%s'.format([[1, 'a', null]]) == '[1, a, null]'",
    "'abc 123'.find('[0-9]+') == '123' && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
    # conversions
    "int('12') == 12 && int(1.9) == 1 && uint(1) == 1u && double('1.5') == 1.5 && string(1.0) == '1'",
    "string(true) == 'true' && bool('true') && bytes('a') == b'a' && string(b'a') == 'a'",
    "type(1) == int && type('a') == string && type([]) == list && type(type(1)) == type",
    # time
    "duration('1h30m').getMinutes() == 90 && duration('1.5s') == duration('1500ms')",
    "timestamp('2020-01-02T03:04:05Z').getFullYear() == 2020 && timestamp('2020-01-01T00:00:00Z').getDayOfWeek() == 3",
    "timestamp('2020-01-01T00:00:00+01:00') == timestamp('2019-12-31T23:00:00Z')",
    "timestamp('2020-01-01T00:00:00Z') + duration('24h') == timestamp('2020-01-02T00:00:00Z')",
    "timestamp('2020-01-01T00:00:00Z').getHours('+02:00') == 2",
    # lists and sets
    "[1, 2].sum() == 3 && [3, 1].min() == 1 && ['a', 'c'].max() == 'c' && [1, 2].isSorted() && [1, 2].indexOf(2) == 1",
    "sets.contains([1, 2], [1]) && sets.equivalent([1, 2], [2, 1, 1]) && !sets.intersects([1], [2])",
    "[[1], [2]].flatten() == [1, 2] && [1, 1].distinct() == [1] && [2, 1].sort() == [1, 2] && [1, 2, 3].slice(1, 2) == [2]",
    # optionals
    "{'a': 1}.?a.orValue(2) == 1 && {}.?a.orValue(2) == 2 && {}.?a.?b.orValue(2) == 2",
    "[1][?0].value() == 1 && !([1][?1].hasValue()) && {'a': {'b': 1}}[?'a'].b.value() == 1",
    "optional.of(1).or(optional.none()).value() == 1 && optional.ofNonZeroValue('') == optional.none()",
    "optional.of(2).optMap(x, x + 1).value() == 3 && optional.none().optMap(x, x + 1) == optional.none()",
    "[?optional.none(), ?optional.of(1)] == [1] && {?'a': optional.none()} == {}",
    # quantities, addresses, urls, versions, formats
    "quantity('1Gi').isGreaterThan(quantity('1000Mi')) && quantity('500m').add(quantity('1.5')).asInteger() == 2",
    "isQuantity('1Ki') && !isQuantity('x') && quantity('1').compareTo(quantity('1000m')) == 0 && quantity('-1').sign() == -1",
    "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsCIDR('11.0.0.0/16') && isIP('::1')",
    "ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && cidr('10.0.0.1/8').prefixLength() == 8",
    "url('https://a.b:80/c?d=e').getHost() == 'a.b:80' && url('https://a.b/').getHostname() == 'a.b' && !isURL('x')",
    "url('https://a/?d=e').getQuery() == {'d': ['e']} && url('https://a:1/x').getPort() == '1'",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && !isSemver('1')",
    "format.dns1123Label().validate('a') == optional.none() && format.dns1123Label().validate('A').hasValue()",
]  # fmt: skip


@pytest.mark.parametrize("source", TRUE)
def test_an_expression_holds(source: str) -> None:
    assert evaluate(source) is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{'a': 1}.b", "no such key: b"),
        ("[1][1]", "index out of bounds: 1"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("1 + 1.0", "no such overload"),
        ("1 + 'a'", "no such overload"),
        ("dyn(1).x", "no such overload"),
        ("1 && true", "no such overload"),
        ("'a' < 1", "no such overload"),
        ("optional.none().value()", "optional.none() dereference"),
        ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
    ],
)
def test_an_evaluation_fails_in_kubernetes_words(source: str, message: str) -> None:
    with pytest.raises(CelError) as caught:
        evaluate(source)
    assert str(caught.value) == message


STARTS = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("self.a >", 9, f"Syntax error: mismatched input '<EOF>' expecting {STARTS}"),
        ("self.a > 1 2", 12, "Syntax error: extraneous input '2' expecting <EOF>"),
        ("(self.a > 1", 12, "Syntax error: missing ')' at '<EOF>'"),
        ("foo > 1", 1, "undeclared reference to 'foo' (in container '')"),
        ("bar(1)", 4, "undeclared reference to 'bar' (in container '')"),
        ("self.s.nope()", 12, "undeclared reference to 'nope' (in container '')"),
        ("has(self)", 5, "invalid argument to has() macro"),
        ("self.l.exists('a', true)", 15, "argument must be a simple name"),
    ],
)
def test_a_mistake_is_shown_where_it_is(source: str, column: int, message: str) -> None:
    with pytest.raises(CelCompileError) as caught:
        compile_cel(source, ("self",))
    where = "." * (column - 1)
    assert (
        str(caught.value)
        == f"compilation failed: ERROR: <input>:1:{column}: {message}\n | {source}\n | {where}^"
    )


def test_properties_with_other_letters_have_other_names() -> None:
    value = {"x-y": 1, "a.b": 2, "namespace": 3, "c/d": 4, "e__f": 5}
    assert evaluate(
        "self.x__dash__y + self.a__dot__b + self.__namespace__ + self.c__slash__d == 10", self=value
    )
    assert evaluate("self.e__underscores__f == 5 && has(self.x__dash__y)", self=value)


def test_a_program_knows_which_variables_it_uses() -> None:
    program = compile_cel("self.all(oldSelf, oldSelf > 1)", ("self", "oldSelf"))
    assert program.used == {"self"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
    )
)
def test_every_value_equals_itself_and_no_list_of_itself(value: Json) -> None:
    assert evaluate("self == self && self != [self] && self in [self]", self=value)


@given(st.integers(-(2**40), 2**40), st.integers(-(2**20), 2**20))
def test_division_and_remainder_belong_together(a: int, b: int) -> None:
    if b:
        assert evaluate("(a / b) * b + a % b == a && (a % b == 0 || (a % b < 0) == (a < 0))", a=a, b=b)


@given(st.integers(0, 2**50))
def test_a_duration_shown_is_the_duration_meant(millis: int) -> None:
    duration = Duration(millis * 1_000_000)
    assert parse_duration(show_duration(duration)) == duration


def test_a_timestamp_is_exact_to_the_nanosecond() -> None:
    assert Timestamp(1_577_934_245_000_000_000) == evaluate("timestamp('2020-01-02T03:04:05Z')")
