"""What runs in the browser: Streamlit components, each a Python file with a script and a style sheet of the same name.

    spots     places on a chart as buttons for the keyboard, and the frame around the chosen place
    player    the signal on its way through the network: the controls, and the stage that shows the equation's images
    film      the images that the player shows, sent once
    links     pointing at a place of one map marks it in all other maps and in the photo
    overview  the whole network in small above a block map that scrolls

Scripts are sent by this server with the page; nothing is loaded from elsewhere.
"""
