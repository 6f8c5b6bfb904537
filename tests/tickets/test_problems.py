from rest_framework.exceptions import APIException

from tickets.problems import Problem


def test_a_problem_carries_its_answer():
    problem = Problem(status=418, code="teapot", detail="Short and stout.", errors={"spout": ["missing"]})
    assert isinstance(problem, APIException)
    assert (problem.status_code, problem.code, str(problem.detail)) == (418, "teapot", "Short and stout.")
    assert (problem.errors, problem.headers) == ({"spout": ["missing"]}, {})
