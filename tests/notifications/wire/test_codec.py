from notifications.wire.codec import BadFrame


def test_a_bad_frame_says_what_and_whose():
    problem = BadFrame("invalid", "seq is missing", ref="r")
    assert (problem.code, problem.detail, problem.ref, str(problem)) == (
        "invalid",
        "seq is missing",
        "r",
        "seq is missing",
    )
